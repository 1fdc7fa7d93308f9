"""Items written to files."""
