"""Validity: which geometries of a batch are, or may be, invalid. A whole batch at a time."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import shapely

from services.vector.geometry import wkb
from services.vector.geometry.reasons import Codes
from services.vector.geometry.repair import POINTS, POLYGONS
from services.vector.geometry.sequences import CoordinateSequences
from services.vector.geometry.wkb import Coordinates, Flags, Integers

Shapes: TypeAlias = npt.NDArray[np.object_]

_SMALLEST_RING = 4


def find_suspects(sequences: CoordinateSequences, coordinates: Coordinates, reasons: Codes, dimension: int) -> Flags:
    """Return which rows are, or may be, invalid. Points never are.

    Parameters
    ----------
    coordinates
        Of all sequences, shape (points, 2).
    reasons
        Rows with a reason are not looked at; shape (rows,).
    dimension
        0 points, 1 lines, 2 polygons.

    Returns
    -------
    Flags
        Shape (rows,). Rows that only shapely can read are not among them. For polygons GEOS is asked: 1.5 s for 200,000
        of 40 vertices.
    """
    suspects = np.zeros(len(reasons), np.bool_)
    if dimension == POINTS or not len(sequences.rows):
        return suspects
    wanted = (reasons == 0)[sequences.rows]
    broken = _find_broken(sequences, coordinates, dimension)
    suspects[sequences.rows[broken & wanted]] = True
    if dimension == POLYGONS:
        # GEOS raises an error for a ring that is open or too short, so broken ones are left out.
        wanted &= ~suspects[sequences.rows]
        rows, shapes = _build_polygons(sequences, coordinates, wanted)
        suspects[rows[~shapely.is_valid(shapes)]] = True
    return suspects


def _find_broken(sequences: CoordinateSequences, coordinates: Coordinates, dimension: int) -> Flags:
    """Return which sequences are lines without length, or rings that are open or too short to be built."""
    ends = np.cumsum(sequences.points)
    filled = sequences.points > 0
    firsts, lasts = (ends - sequences.points)[filled], ends[filled] - 1
    broken = np.ones(len(sequences.points), np.bool_)
    if dimension == POLYGONS:
        closed = (coordinates[firsts] == coordinates[lasts]).all(axis=1)
        broken[filled] = ~closed | (sequences.points[filled] < _SMALLEST_RING)
    elif len(firsts):
        first_of_point = np.repeat(firsts, sequences.points[filled])
        moved = (coordinates != coordinates[first_of_point]).any(axis=1)
        broken[filled] = ~np.logical_or.reduceat(moved, firsts)
    return broken


def _build_polygons(sequences: CoordinateSequences, coordinates: Coordinates, wanted: Flags) -> tuple[Integers, Shapes]:
    """Build polygons of the wanted sequences: the rows they belong to, and one polygon or multipolygon for each."""
    rows, points, parts = sequences.rows[wanted], sequences.points[wanted], sequences.parts[wanted]
    if not len(rows):
        return rows, np.empty(0, np.object_)
    if not wanted.all():
        coordinates = coordinates[np.repeat(wanted, sequences.points)]
    rings = np.concatenate(([0], np.cumsum(points)))
    firsts = np.flatnonzero(np.concatenate(([True], np.diff(parts) != 0)))
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, coordinates, (rings, np.append(firsts, len(rows)))
    )
    owners = rows[firsts]
    multi = sequences.headers.type_codes[owners] == wkb.MULTIPOLYGON
    if not multi.any():
        return owners, polygons
    whole, numbers = np.unique(owners[multi], return_inverse=True)
    collected = shapely.multipolygons(polygons[multi], indices=numbers)
    return np.concatenate((owners[~multi], whole)), np.concatenate((polygons[~multi], collected))
