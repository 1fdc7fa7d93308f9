"""How a raster is opened, described and read."""
