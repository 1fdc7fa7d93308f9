"""GeoJSON and GeoJSON lines, read without GDAL: layout, parts, features, columns, geometries."""
