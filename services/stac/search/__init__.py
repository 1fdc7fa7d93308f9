"""Searches: areas, intervals, cursors and pages."""
