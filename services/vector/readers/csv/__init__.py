"""Delimited text: dialect, rows, types, geometry."""
