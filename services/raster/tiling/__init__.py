"""One raster as many tiles that fit together pixel for pixel."""
