"""STAC items: what the record of a file says."""
