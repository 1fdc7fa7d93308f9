"""CSV and TSV: dialect, parts, rows, types, geometry."""
