"""Longitudes beyond 180 degrees: wrapped where a geometry lies beyond as a whole, cut where it lies on both sides.

A polygon over the antimeridian is written in two ways: with longitudes that go on past 180 (RFC 7946, section 3.1.9,
asks for a cut instead, but much software writes it), and with a ring whose longitude jumps from near 180 to near -180.
Pure.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString, MultiLineString, MultiPolygon, Polygon, box

Action = Literal["cut", "wrapped"]
Wrap = Literal["no", "degrees", "lines"]
"""no: the coordinates are not degrees. degrees: `straighten` them. lines: a line that jumps is taken to cross, too."""

LIMIT = 180.0
_TURN = 360.0
_TOLERANCE = 1e-9
_TALLEST = 120.0
"""Degrees of latitude: a taller ring with jumps is a frame around the world, and does not cross the antimeridian."""


def find_crossing(x: npt.NDArray[np.float64], starts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Return which coordinate sequences `straighten` should look at: beyond 180 degrees, or with a jump.

    Parameters
    ----------
    x
        Longitudes of all sequences, one after the other, in degrees; shape (points,).
    starts
        Index of the first point of each sequence; none is empty. Shape (sequences,).

    Returns
    -------
    Flags
        Shape (sequences,).
    """
    odd = np.abs(x) > LIMIT + _TOLERANCE
    # Rows that the projection had no answer for are infinite; their reason is set already.
    with np.errstate(invalid="ignore"):
        odd[1:] |= np.abs(np.diff(x)) > LIMIT
    if len(starts) > 1:
        # Between the last point of a sequence and the first of the next there is no edge.
        firsts = starts[1:]
        odd[firsts] = np.abs(x[firsts]) > LIMIT + _TOLERANCE
    found: npt.NDArray[np.bool_] = np.logical_or.reduceat(odd, starts) if len(starts) else np.zeros(0, np.bool_)
    return found


def straighten(shape: Any, *, lines: bool = False) -> tuple[Any, Action | None]:
    """Bring a geometry into -180 to 180 degrees.

    A polygon's ring that jumps by more than 180 degrees crosses the antimeridian, unless it is taller than 120 degrees
    or goes around a pole.

    Parameters
    ----------
    shape
        A two-dimensional geometry, longitude before latitude, in degrees.
    lines
        Whether a line that jumps crosses too; it may be meant to go around the Earth.

    Returns
    -------
    tuple
        The geometry and what was done with it. One beyond 540 degrees is returned as it is: its numbers are wrong.
    """
    flat = _unroll(shape, lines=lines)
    west, _, east, _ = flat.bounds
    if not (np.isfinite(west) and np.isfinite(east)) or max(-west, east) > LIMIT + _TURN:
        return shape, None
    # Full turns between the geometry and -180 to 180.
    turn = np.floor((west + LIMIT + _TOLERANCE) / _TURN)
    if east - turn * _TURN <= LIMIT + _TOLERANCE:
        return (shape, None) if turn == 0 else (_move(flat, -turn * _TURN), "wrapped")
    if shapely.get_dimensions(flat) == 0:
        return shapely.transform(flat, wrap_points), "wrapped"
    # GEOS's intersection raises on invalid geometries.
    whole = flat if shapely.is_valid(flat) else shapely.make_valid(flat)
    return _cut(whole), "cut"


def _cut(shape: Any) -> Any:
    dimension = shapely.get_dimensions(shape)
    west, south, east, north = shape.bounds
    parts = []
    for turn in range(int((west + LIMIT) // _TURN), int((east + LIMIT) // _TURN) + 1):
        centre = turn * _TURN
        frame = box(centre - LIMIT, south - 1, centre + LIMIT, north + 1)
        inside = shapely.get_parts(shapely.intersection(shape, frame))
        # A polygon that only touches the frame leaves a line or a point there.
        inside = inside[(shapely.get_dimensions(inside) == dimension) & ~shapely.is_empty(inside)]
        parts += [part for piece in inside for part in shapely.get_parts(_move(piece, -centre))]
    if len(parts) == 1:
        return parts[0]
    return MultiPolygon(parts) if dimension == 2 else MultiLineString(parts)


def _move(shape: Any, by: float) -> Any:
    # Clipped: 180.00000000000003 would lie beyond the antimeridian again.
    lowest, highest = np.array((-LIMIT, -np.inf)), np.array((LIMIT, np.inf))
    return shapely.transform(shape, lambda points: np.clip(points + np.array((by, 0.0)), lowest, highest))


def wrap_points(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return points of shape (n, 2) with longitudes up to 540 degrees brought into -180 to 180, point by point."""
    beyond = (np.abs(points[:, 0]) > LIMIT) & (np.abs(points[:, 0]) <= LIMIT + _TURN)
    x = np.where(beyond, (points[:, 0] + LIMIT) % _TURN - LIMIT, points[:, 0])
    return np.stack((x, points[:, 1]), axis=1)


def _unroll(shape: Any, *, lines: bool) -> Any:
    """Undo the jumps of rings, so that they go on past 180 degrees."""
    if isinstance(shape, Polygon):
        return _unroll_polygon(shape)
    if isinstance(shape, MultiPolygon):
        return MultiPolygon([_unroll_polygon(part) for part in shape.geoms])
    if lines and isinstance(shape, LineString) and not shape.is_empty:
        return LineString(_unroll_points(np.asarray(shape.coords)))
    if lines and isinstance(shape, MultiLineString):
        return MultiLineString([_unroll(part, lines=True) for part in shape.geoms])
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
    """Return the ring without jumps; None when it has none, goes around a pole, or is a frame around the world."""
    unrolled = _unroll_points(points)
    closes = unrolled[0, 0] == unrolled[-1, 0]
    if not closes or np.array_equal(unrolled, points) or np.ptp(points[:, 1]) > _TALLEST:
        return None
    # Of the two ways to write the same ring, the one that begins west of the antimeridian.
    shift = _TURN if unrolled[:, 0].min() < -LIMIT else 0.0
    unrolled[:, 0] += shift
    return unrolled


def _unroll_points(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    steps = np.diff(points[:, 0])
    jumps = (np.abs(steps) > LIMIT) & (np.abs(steps) < _TURN)
    turns = np.concatenate(([0.0], np.cumsum(np.where(jumps, -np.sign(steps) * _TURN, 0.0))))
    return np.stack((points[:, 0] + turns, points[:, 1]), axis=1)
