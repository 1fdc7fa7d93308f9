"""Containers: what lies in them, and which of it the catalogue does not know yet."""
