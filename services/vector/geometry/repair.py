"""Repair: an invalid geometry becomes a valid one of the same dimension. One geometry at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import shapely

from services.vector.geometry import wkb
from services.vector.geometry.reasons import COLLAPSED, NOT_REPAIRABLE, OTHER_TYPE, TOO_LARGE

POINTS, LINES, POLYGONS = range(3)
"""Dimensions of geometries: a table holds those of one of them."""

DIMENSION_OF_TYPE = np.array([-1, 0, 1, 2, 0, 1, 2, -1], np.int8)
"""Dimension by WKB type code; -1 for null and for collections, which may hold anything."""


def dimensions_of(shape: Any) -> set[int]:
    """Return the dimensions of the parts of a geometry."""
    return set(shapely.get_dimensions(_parts_of(shape)).tolist())


def _parts_of(shape: Any) -> Any:
    """Return the points, lines and polygons that a geometry consists of, as an array without empty ones."""
    parts = shapely.get_parts(shape)
    # Collections may hold multi geometries and further collections.
    while (shapely.get_type_id(parts) > wkb.MULTIPOINT - 1).any():
        parts = shapely.get_parts(parts)
    return parts[~shapely.is_empty(parts)]


def parts_of_dimension(shape: Any, dimension: int) -> tuple[Any | None, int]:
    """Return the parts of a geometry that have the dimension, as one geometry or None, and the number of the others."""
    parts = _parts_of(shape)
    kept = parts[shapely.get_dimensions(parts) == dimension]
    others = len(parts) - len(kept)
    if len(kept) <= 1:
        return (kept[0] if len(kept) else None), others
    collect = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)[dimension]
    return collect(kept), others


def make_valid(shape: Any) -> Any | None:
    """Repair one geometry as GDAL does, by GEOS's linework method, or by its structure method where that fails.

    Returns
    -------
    Any
        A valid geometry, maybe of parts of several dimensions; None when neither method makes one.
    """
    for method in ("linework", "structure"):
        try:
            repaired = shapely.make_valid(shape, method=method)
        except shapely.errors.GEOSException:
            # The overlay of the linework method raises on coordinates that are almost equal; the other one may not.
            continue
        if shapely.is_valid(repaired):
            return repaired
    return None


def repair(shape: Any, dimension: int, max_vertices: int, counts: Counter[str], *, takes_parts: bool = False) -> Any:
    """Return the geometry itself when nothing is wrong, a repaired one of the same dimension, or the reason why not.

    Parameters
    ----------
    shape
        A two-dimensional geometry, not empty.
    dimension
        0 points, 1 lines, 2 polygons.
    max_vertices
        An invalid geometry with more vertices is not repaired.
    counts
        `repaired`, `slivers_dropped` (parts of a lower dimension that a repair made) and `parts_left_out` are added to.
    takes_parts
        Of a collection of several dimensions the parts of this one are taken; otherwise it is not loaded.

    Returns
    -------
    Any
        A geometry, or a reason of `reasons`: a str. A repair takes about 1 ms.
    """
    if DIMENSION_OF_TYPE[min(wkb.COLLECTION, wkb.NAMES.index(shape.geom_type))] == -1:
        kept, others = parts_of_dimension(shape, dimension)
        if kept is None or (others and not takes_parts):
            return OTHER_TYPE
        counts["parts_left_out"] += others
        shape = kept
    elif shapely.get_dimensions(shape) != dimension:
        return OTHER_TYPE
    if shapely.is_valid(shape):
        return shape
    # Validity is cheap, but the time of a repair may grow with the square of the vertices.
    if shapely.get_num_coordinates(shape) > max_vertices:
        return TOO_LARGE
    repaired = make_valid(shape)
    if repaired is None:
        return NOT_REPAIRABLE
    kept, others = parts_of_dimension(repaired, dimension)
    if kept is None:
        return COLLAPSED
    counts["repaired"] += 1
    counts["slivers_dropped"] += others
    return kept
