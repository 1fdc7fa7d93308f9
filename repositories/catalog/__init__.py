"""pgSTAC: collections and items, written, read and counted."""
