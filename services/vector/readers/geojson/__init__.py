"""GeoJSON and GeoJSON sequences: what GDAL's driver does not check."""
