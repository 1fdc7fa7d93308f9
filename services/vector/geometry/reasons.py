"""Reasons why a row is not loaded: all of them, as reports and tables of rejected rows name them.

Arrays hold a reason as its code, its place in ALL: an int8 for each row, and 0 for a row that has none.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Codes: TypeAlias = npt.NDArray[np.int8]

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
# GDAL would make multipolygons of surfaces; on a map walls have no area and faces lie upon each other, which a repair
# would cut out of each other. Curves in collections, in text and in GeoParquet are ones that shapely cannot read.
MULTI = "multi_geometry_in_table_of_single_ones"

COORDINATES_UNREADABLE = "coordinates_unreadable"
"""Text that is not a number, a pair of numbers, WKT or WKB."""
OUT_OF_RANGE = "coordinates_out_of_range"
"""Numbers that cannot be longitude and latitude in degrees."""
RAGGED = "wrong_number_of_values"
"""A row of a CSV file with more or fewer values than the header has names."""
ONE_POINT = "line_of_one_point"
"""A line of a KML file."""
NOT_A_FEATURE = "not_a_feature"
"""An entry of a GeoJSON's features that is null, text, a number or another object."""

TOO_BIG = "row_too_big"
"""The row is larger than a page of PostgreSQL."""

ALL = (
    *("", NULL, EMPTY, UNREADABLE, NOT_FINITE, NOT_PROJECTABLE, TOO_LARGE, COLLAPSED, NOT_REPAIRABLE, OTHER_TYPE),
    *(UNSUPPORTED, MULTI, COORDINATES_UNREADABLE, OUT_OF_RANGE, RAGGED, ONE_POINT, NOT_A_FEATURE, TOO_BIG),
)
"""By code."""
CODE_OF = {reason: code for code, reason in enumerate(ALL)}
MISSING = (CODE_OF[NULL], CODE_OF[EMPTY])
"""Reasons of rows that have no geometry: such a row can be loaded with NULL."""


def set_reason(codes: Codes, rows: npt.NDArray[np.bool_], reason: str) -> None:
    """Set the reason of those rows that have none yet: the first one counts.

    Parameters
    ----------
    codes
        Changed in place; shape (rows,).
    rows
        Which rows have this reason; shape (rows,).
    """
    codes[rows & (codes == 0)] = CODE_OF[reason]


def names_of(codes: Codes) -> list[str]:
    """Return the reason of each row; "" for none."""
    return [ALL[code] for code in codes.tolist()]
