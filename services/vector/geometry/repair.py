"""Repair: an invalid geometry becomes a valid one of the same dimension. One geometry at a time."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import shapely

from services.vector.geometry import wkb
from services.vector.geometry.reasons import COLLAPSED, NOT_REPAIRABLE, OTHER_TYPE, TOO_LARGE

POINTS, LINES, POLYGONS = range(3)
"""The families of geometries, which are also their dimensions: a table holds one of them."""

FAMILY_OF_KIND = np.array([-1, 0, 1, 2, 0, 1, 2, -1], np.int8)
"""Family by type code; -1 for null and for collections, which may hold anything."""


def parts_of_family(shape: Any, family: int) -> tuple[Any | None, int]:
    """Give the parts of a geometry that have the family's dimension, as one geometry, and the number of others."""
    parts = shapely.get_parts(shape)
    while (shapely.get_type_id(parts) > wkb.MULTIPOINT - 1).any():
        parts = shapely.get_parts(parts)
    parts = parts[~shapely.is_empty(parts)]
    kept = parts[shapely.get_dimensions(parts) == family]
    others = len(parts) - len(kept)
    if len(kept) <= 1:
        return (kept[0] if len(kept) else None), others
    collect = (shapely.multipoints, shapely.multilinestrings, shapely.multipolygons)[family]
    return collect(kept), others


def make_valid(shape: Any) -> Any | None:
    """Repair one geometry as GDAL does (GEOS's linework method), or by its other method where that fails."""
    for method in ("linework", "structure"):
        try:
            repaired = shapely.make_valid(shape, method=method)
        except shapely.errors.GEOSException:
            # Its overlay gives up on coordinates that are almost equal.
            continue
        if shapely.is_valid(repaired):
            return repaired
    return None


def repair(shape: Any, family: int, max_vertices: int, counts: Counter[str]) -> Any:
    """Give the geometry itself when nothing is wrong, a repaired one of the same dimension, or the reason why not."""
    if FAMILY_OF_KIND[min(wkb.COLLECTION, wkb.NAMES.index(shape.geom_type))] == -1:
        kept, others = parts_of_family(shape, family)
        if kept is None or others:
            return OTHER_TYPE
        shape = kept
    elif shapely.get_dimensions(shape) != family:
        return OTHER_TYPE
    if shapely.is_valid(shape):
        return shape
    if shapely.get_num_coordinates(shape) > max_vertices:
        return TOO_LARGE
    repaired = make_valid(shape)
    if repaired is None:
        return NOT_REPAIRABLE
    kept, others = parts_of_family(repaired, family)
    if kept is None:
        return COLLAPSED
    counts["repaired"] += 1
    counts["slivers_dropped"] += others
    return kept
