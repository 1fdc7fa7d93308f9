"""Rasters: validated, reprojected, made into Cloud Optimized GeoTIFFs, in bounded memory."""
