"""Geometries, a batch at a time: reprojected, repaired, made valid."""
