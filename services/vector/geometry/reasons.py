"""Reasons why a row has no geometry that can be loaded, as reports and tables of rejected rows name them."""

from __future__ import annotations

NULL = "null_geometry"
EMPTY = "empty_geometry"
UNREADABLE = "unreadable_geometry"
NOT_FINITE = "coordinates_not_finite"
NOT_PROJECTABLE = "outside_projection"
TOO_LARGE = "too_many_vertices_to_repair"
COLLAPSED = "collapsed_in_repair"
NOT_REPAIRABLE = "not_repairable"
OTHER_TYPE = "other_geometry_type"
UNSUPPORTED = "unsupported_geometry_type"
"""A surface of faces (TIN, PolyhedralSurface, Triangle), or a curve where GDAL does not linearise it."""

COORDINATES_UNREADABLE = "coordinates_unreadable"
"""Text that is not a number, a pair of numbers, WKT or WKB."""
OUT_OF_RANGE = "coordinates_out_of_range"
"""Numbers that cannot be longitude and latitude in degrees."""
RAGGED = "wrong_number_of_values"
"""A row of a CSV file with more or fewer values than the header has names."""
ONE_POINT = "line_of_one_point"

MULTI = "multi_geometry_in_table_of_single_ones"
MISSING = frozenset((NULL, EMPTY))
"""Reasons that are no fault of the geometry: there is none."""
