"""What will be done to a raster, decided from its header."""
