"""Extents: what one pass over the geometries of a layer tells: rows, types, and where they lie."""

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
from services.vector.readers.source_layer import SourceBatch

_TURN, _HALF = 360.0, 180.0
_POLE = 90.0
_TOLERANCE = 1e-6
Boxes = npt.NDArray[np.float64]
"""West, south, east, north of each part of a geometry: shape (n, 4)."""


@dataclass
class Extent:
    """What was seen of a layer's geometries."""

    rows: int = 0
    geometry_types: Counter[str] = field(default_factory=Counter)
    """Rows by geometry type; "" for null."""
    bounds: Bounds | None = None
    """In the layer's CRS; None when no geometry has coordinates."""
    bounds_0_360: Bounds | None = None
    """The same if the coordinates are degrees and all of them are counted from 0 to 360."""


def extent_of(batches: Iterable[SourceBatch], check: Callable[[], None]) -> Extent:
    """Read all geometries once, in the memory of one batch; `check` may raise at each."""
    found = Extent()
    for batch in batches:
        check()
        found.rows += len(batch.fids)
        codes, numbers = np.unique(batch.type_codes, return_counts=True)
        for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
            found.geometry_types[wkb.name_of(code)] += number
        shapes = shapely.from_wkb(batch.geometry.to_numpy(zero_copy_only=False), on_invalid="ignore")
        # Of the parts: those of one geometry may lie on both sides of the antimeridian.
        boxes = shapely.bounds(shapely.get_parts(shapes))
        boxes = boxes[np.isfinite(boxes).all(axis=1)]
        if len(boxes):
            found.bounds = _grown(found.bounds, boxes)
            found.bounds_0_360 = _grown(found.bounds_0_360, _turned(boxes))
    return found


def shorter_bounds(bounds: Bounds, turned: Bounds | None, crs: pyproj.CRS, label: str) -> Bounds:
    """Choose between a layer's bounds and those counted from 0 to 360: the shorter way round the Earth.

    Raises
    ------
    PermanentError
        Degrees that are nowhere on Earth.
    """
    if turned is None or not _in_degrees(crs):
        return bounds
    west, south, east, north = bounds
    if max(-south, north) > _POLE + _TOLERANCE or max(-west, east) > _TURN + _HALF:
        raise PermanentError(
            f"{label} says it is in degrees, but reaches from {west:g}, {south:g} to {east:g}, {north:g}.",
            remediation="Write its real coordinate reference system into the file, and upload it anew.",
            code="coordinates_not_on_earth",
        )
    return turned if turned[2] - turned[0] < east - west - _TOLERANCE else bounds


def _in_degrees(crs: pyproj.CRS) -> bool:
    return bool(crs.is_geographic and crs.axis_info and crs.axis_info[0].unit_name == "degree")


def _turned(boxes: Boxes) -> Boxes:
    turned = boxes.copy()
    west_of_zero = boxes[:, 2] < 0
    turned[west_of_zero, 0] += _TURN
    turned[west_of_zero, 2] += _TURN
    # What lies on both sides of the prime meridian goes all around when it is counted from there.
    both = (boxes[:, 0] < 0) & ~west_of_zero
    turned[both, 0], turned[both, 2] = 0.0, _TURN
    return turned


def _grown(bounds: Bounds | None, boxes: Boxes) -> Bounds:
    west, south = (float(edge) for edge in boxes[:, :2].min(axis=0))
    east, north = (float(edge) for edge in boxes[:, 2:].max(axis=0))
    if bounds is None:
        return west, south, east, north
    return min(bounds[0], west), min(bounds[1], south), max(bounds[2], east), max(bounds[3], north)
