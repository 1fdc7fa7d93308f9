"""STAC collections and their extents."""
