"""Longitudes beyond 180 degrees: wrapped where a geometry lies beyond as a whole, cut where it lies on both sides.

Two ways to write a polygon over the antimeridian are known: with longitudes that go on past 180 (RFC 7946 forbids it,
much software writes it), and with a ring whose longitude jumps from near 180 to near -180. Pure.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import MultiLineString, MultiPolygon, Polygon, box

Action = Literal["cut", "wrapped"]

_LIMIT = 180.0
_TURN = 360.0
_TOLERANCE = 1e-9
_TALLEST = 120.0
"""Degrees of latitude from which a ring with jumps is taken for a frame around the world, not for one that crosses."""


def find_crossing(x: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Find the runs of coordinates that `straighten` should look at: beyond 180 degrees, or with a jump.

    `x` are the longitudes of all runs, one after the other; `starts` the first of each run, none of them empty.
    """
    odd = np.abs(x) > _LIMIT + _TOLERANCE
    odd[1:] |= np.abs(np.diff(x)) > _LIMIT
    if len(starts) > 1:
        # Between the last point of a run and the first of the next there is no edge.
        firsts = starts[1:]
        odd[firsts] = np.abs(x[firsts]) > _LIMIT + _TOLERANCE
    found: npt.NDArray[np.bool_] = np.logical_or.reduceat(odd, starts) if len(starts) else np.zeros(0, np.bool_)
    return found


def straighten(shape: Any, *, jumps: bool = True) -> tuple[Any, Action | None]:
    """Bring a two-dimensional geometry into -180 to 180 degrees, and say what was done.

    With `jumps` a polygon's ring that jumps by more than 180 degrees crosses the antimeridian, unless it is taller than
    120 degrees or goes around a pole. Of a geometry beyond 540 degrees nothing is made.
    """
    flat = _unroll(shape) if jumps else shape
    west, _, east, _ = flat.bounds
    if not (np.isfinite(west) and np.isfinite(east)) or max(-west, east) > _LIMIT + _TURN:
        return shape, None
    turn = np.floor((west + _LIMIT + _TOLERANCE) / _TURN)
    if east - turn * _TURN <= _LIMIT + _TOLERANCE:
        return (shape, None) if turn == 0 else (_move(flat, -turn * _TURN), "wrapped")
    if shapely.get_dimensions(flat) == 0:
        return shapely.transform(flat, _wrap_points), "wrapped"
    whole = flat if shapely.is_valid(flat) else shapely.make_valid(flat)
    return _cut(whole), "cut"


def _cut(shape: Any) -> Any:
    dimension = shapely.get_dimensions(shape)
    west, south, east, north = shape.bounds
    parts = []
    for turn in range(int((west + _LIMIT) // _TURN), int((east + _LIMIT) // _TURN) + 1):
        centre = turn * _TURN
        frame = box(centre - _LIMIT, south - 1, centre + _LIMIT, north + 1)
        inside = shapely.get_parts(shapely.intersection(shape, frame))
        inside = inside[(shapely.get_dimensions(inside) == dimension) & ~shapely.is_empty(inside)]
        parts += [part for piece in inside for part in shapely.get_parts(_move(piece, -centre))]
    if len(parts) == 1:
        return parts[0]
    return MultiPolygon(parts) if dimension == 2 else MultiLineString(parts)


def _move(shape: Any, by: float) -> Any:
    lowest, highest = np.array((-_LIMIT, -np.inf)), np.array((_LIMIT, np.inf))
    return shapely.transform(shape, lambda points: np.clip(points + np.array((by, 0.0)), lowest, highest))


def _wrap_points(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    x = np.where(np.abs(points[:, 0]) > _LIMIT, (points[:, 0] + _LIMIT) % _TURN - _LIMIT, points[:, 0])
    return np.stack((x, points[:, 1]), axis=1)


def _unroll(shape: Any) -> Any:
    """Undo the jumps of each polygon's rings, so that it goes on past 180 degrees."""
    if isinstance(shape, Polygon):
        return _unroll_polygon(shape)
    if isinstance(shape, MultiPolygon):
        return MultiPolygon([_unroll_polygon(part) for part in shape.geoms])
    return shape


def _unroll_polygon(polygon: Polygon) -> Polygon:
    if polygon.is_empty:
        return polygon
    shell = _unroll_ring(np.asarray(polygon.exterior.coords))
    if shell is None:
        return polygon
    holes = []
    for ring in polygon.interiors:
        points = np.asarray(ring.coords)
        unrolled = _unroll_ring(points)
        hole = points if unrolled is None else unrolled
        # The hole goes with its shell.
        middle = (shell[:, 0].min() + shell[:, 0].max()) / 2
        turns = np.round((middle - (hole[:, 0].min() + hole[:, 0].max()) / 2) / _TURN)
        holes.append(hole + np.array((turns * _TURN, 0.0)))
    return Polygon(shell, holes)


def _unroll_ring(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
    """Give the ring without jumps; None when it has none, goes around a pole, or is a frame around the world."""
    steps = np.diff(points[:, 0])
    jumps = (np.abs(steps) > _LIMIT) & (np.abs(steps) < _TURN)
    if not jumps.any() or np.ptp(points[:, 1]) > _TALLEST:
        return None
    turns = np.concatenate(([0.0], np.cumsum(np.where(jumps, -np.sign(steps) * _TURN, 0.0))))
    if turns[-1] != 0:
        return None
    x = points[:, 0] + turns
    # Of the two ways to write the same ring, the one that begins west of the antimeridian.
    shift = _TURN if x.min() < -_LIMIT else 0.0
    return np.stack((x + shift, points[:, 1]), axis=1)
