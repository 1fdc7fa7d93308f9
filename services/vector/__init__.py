"""Vector files into PostGIS tables: read, clean, load, publish."""
