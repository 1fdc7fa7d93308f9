"""Target tables: inspected, staged, locked, and replaced or appended to. Only this folder runs their statements."""
