"""STAC records of outputs: made from the file that was written, kept in pgSTAC."""
