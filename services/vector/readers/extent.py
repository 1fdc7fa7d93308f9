"""Extents: rows, geometry types and bounds of a layer, found in one pass over its geometries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from schema.errors import PermanentError
from services.vector.geometry import wkb
from services.vector.geometry.crs import Bounds
from services.vector.geometry.earth import guess_crs
from services.vector.readers.source_layer import SourceBatch

_TURN, _HALF = 360.0, 180.0
_POLE = 90.0
# Degrees, about 0.1 m: rounding may put coordinates beyond a pole.
_TOLERANCE = 1e-6
Boxes = npt.NDArray[np.float64]
"""West, south, east, north of each part of a geometry: shape (n, 4)."""


@dataclass
class Extent:
    """What one pass over a layer's geometries found."""

    rows: int = 0
    geometry_types: Counter[str] = field(default_factory=Counter)
    """Rows by geometry type; "" for null."""
    bounds: Bounds | None = None
    """In the layer's CRS; None when no geometry has coordinates."""
    bounds_0_360: Bounds | None = None
    """The same with longitudes counted from 0 to 360, as if the coordinates were degrees."""


def extent_of(batches: Iterable[SourceBatch], check: Callable[[], None]) -> Extent:
    """Return the extent of all rows. Memory: one batch. `check` is called for each batch, and may raise."""
    found = Extent()
    for batch in batches:
        check()
        found.rows += len(batch.fids)
        codes, numbers = np.unique(batch.type_codes, return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            found.geometry_types[wkb.name_of(code)] += number
        shapes = shapely.from_wkb(batch.geometry.to_numpy(zero_copy_only=False), on_invalid="ignore")
        # Boxes of parts, since the parts of one geometry may lie on both sides of the antimeridian.
        boxes = shapely.bounds(shapely.get_parts(shapes))
        boxes = boxes[np.isfinite(boxes).all(axis=1)]
        if len(boxes):
            found.bounds = _extended(found.bounds, boxes)
            found.bounds_0_360 = _extended(found.bounds_0_360, _count_from_0(boxes))
    return found


def shorter_bounds(bounds: Bounds, bounds_0_360: Bounds | None, crs: pyproj.CRS, label: str) -> Bounds:
    """Return the narrower of a layer's bounds: those in its own degrees, or those counted from 0 to 360.

    Parameters
    ----------
    bounds, bounds_0_360
        West, south, east, north in `crs`, as Extent has them. Bounds that are not in degrees are returned as they are.
    crs
        The layer's.
    label
        The file as people know it, for messages.

    Raises
    ------
    PermanentError
        The coordinates are in degrees, but outside of -90 to 90 or -540 to 540.
    """
    in_degrees = crs.is_geographic and crs.axis_info and crs.axis_info[0].unit_name == "degree"
    if bounds_0_360 is None or not in_degrees:
        return bounds
    west, south, east, north = bounds
    if max(-south, north) > _POLE + _TOLERANCE or max(-west, east) > _TURN + _HALF:
        raise PermanentError(
            f"{label} says it is in degrees, but reaches from {west:g}, {south:g} to {east:g}, {north:g}. "
            f"{guess_crs(np.array(((west, south), (east, north))), None)}".rstrip(),
            remediation="Write the coordinate reference system of these coordinates into the file, and upload it "
            "again.",
            code="coordinates_not_on_earth",
        )
    return bounds_0_360 if bounds_0_360[2] - bounds_0_360[0] < east - west - _TOLERANCE else bounds


def _count_from_0(boxes: Boxes) -> Boxes:
    turned = boxes.copy()
    west_of_zero = boxes[:, 2] < 0
    turned[west_of_zero, 0] += _TURN
    turned[west_of_zero, 2] += _TURN
    # A box on both sides of the prime meridian spans all degrees when they are counted from there.
    both = (boxes[:, 0] < 0) & ~west_of_zero
    turned[both, 0], turned[both, 2] = 0.0, _TURN
    return turned


def _extended(bounds: Bounds | None, boxes: Boxes) -> Bounds:
    west, south = (float(edge) for edge in boxes[:, :2].min(axis=0))
    east, north = (float(edge) for edge in boxes[:, 2:].max(axis=0))
    if bounds is None:
        return west, south, east, north
    return min(bounds[0], west), min(bounds[1], south), max(bounds[2], east), max(bounds[3], north)
