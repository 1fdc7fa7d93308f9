"""Validity: which geometries of a batch are, or may be, invalid. A whole batch at a time."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely

from services.vector.geometry import wkb
from services.vector.geometry.repair import POINTS, POLYGONS
from services.vector.geometry.sequences import Located
from services.vector.geometry.wkb import Coordinates, Flags, Integers

Shapes: TypeAlias = npt.NDArray[np.object_]

_SMALLEST_RING = 4


def find_suspects(located: Located, coordinates: Coordinates, reasons: npt.NDArray[np.object_], family: int) -> Flags:
    """Find the rows that are, or may be, invalid. Points never are."""
    suspects = np.zeros(len(reasons), np.bool_)
    if family == POINTS or not len(located.rows):
        return suspects
    wanted = reasons == None  # noqa: E711 - element by element
    runs = wanted[located.rows]
    broken = _broken_runs(located, coordinates, family)
    suspects[located.rows[broken & runs]] = True
    if family == POLYGONS:
        runs &= ~suspects[located.rows]
        rows, shapes = _build_polygons(located, coordinates, runs)
        suspects[rows[~shapely.is_valid(shapes)]] = True
    return suspects


def _broken_runs(located: Located, coordinates: Coordinates, family: int) -> Flags:
    """Find lines without length, and rings that are open or too short to be built."""
    ends = np.cumsum(located.points)
    filled = located.points > 0
    firsts, lasts = (ends - located.points)[filled], ends[filled] - 1
    broken = np.ones(len(located.points), np.bool_)
    if family == POLYGONS:
        closed = (coordinates[firsts] == coordinates[lasts]).all(axis=1)
        broken[filled] = ~closed | (located.points[filled] < _SMALLEST_RING)
    elif len(firsts):
        of_run = np.repeat(firsts, located.points[filled])
        moved = (coordinates != coordinates[of_run]).any(axis=1)
        broken[filled] = ~np.logical_or.reduceat(moved, firsts)
    return broken


def _build_polygons(located: Located, coordinates: Coordinates, runs: Flags) -> tuple[Integers, Shapes]:
    """Make shapely polygons of the given runs: the rows they belong to, and one polygon or multipolygon for each."""
    rows, points, parts = located.rows[runs], located.points[runs], located.parts[runs]
    if not len(rows):
        return rows, np.empty(0, np.object_)
    if not runs.all():
        coordinates = coordinates[np.repeat(runs, located.points)]
    rings = np.concatenate(([0], np.cumsum(points)))
    firsts = np.flatnonzero(np.concatenate(([True], np.diff(parts) != 0)))
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, coordinates, (rings, np.append(firsts, len(rows)))
    )
    owners = rows[firsts]
    multi = located.headers.kinds[owners] == wkb.MULTIPOLYGON
    if not multi.any():
        return owners, polygons
    whole, numbers = np.unique(owners[multi], return_inverse=True)
    collected = shapely.multipolygons(polygons[multi], indices=numbers)
    return np.concatenate((owners[~multi], whole)), np.concatenate((polygons[~multi], collected))
