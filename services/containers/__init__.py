"""Containers: what lies in them, and which of it the catalog does not have yet."""
