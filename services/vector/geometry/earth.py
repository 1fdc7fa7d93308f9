"""Coordinates that are on Earth: which rows have others, and which CRS such numbers look like. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyproj

from services.crs import WGS84
from services.vector.geometry.sequences import CoordinateSequences
from services.vector.geometry.wkb import Coordinates, Flags, Integers

Place: TypeAlias = tuple[tuple[float, float], tuple[float, float]]
"""x and y of a row in the layer's CRS, and its longitude and latitude in degrees by two of its columns."""

_TOLERANCE = 5e-11
"""Of 90 degrees; PROJ takes a latitude that lies 1e-12 radians beyond a pole, and fails on others."""
_HALF_TURN = 180.0
_MERCATOR = 20_037_508.35
"""Metres from 0 to 180 degrees in EPSG:3857."""
_UTM_EASTINGS = (100_000.0, 900_000.0)
_UTM_NORTHINGS = (0.0, 10_000_000.0)
_GAUSS_KRUEGER = range(2, 6)
_GERMAN_NORTHINGS = (5_200_000.0, 6_150_000.0)
_ZONE_BEFORE_EASTING = {32: 4647, 33: 5650}
_SAME_PLACE = 1_000.0
"""Metres: a column of degrees may be rounded to 0.01, or be that of a centre."""


@dataclass(frozen=True)
class Limits:
    """What longitude and latitude can be in a geographic CRS, in its units."""

    half_turn: float
    """180 in degrees, 200 in grads."""
    wraps: bool
    """A later step wraps longitudes, so that they may be counted on past half a turn. Then a geometry lies on Earth if
    some of it lies within a whole turn from 0, and nothing beyond one and a half."""


def limits_of(crs: pyproj.CRS, *, wraps: bool) -> Limits | None:
    """Return the limits of a CRS; None for a projected one, whose coordinates PROJ alone can judge."""
    if not crs.is_geographic:
        return None
    return Limits(round(np.pi / crs.axis_info[0].unit_conversion_factor, 9), wraps)


def find_outside(sequences: CoordinateSequences, coordinates: Coordinates, limits: Limits) -> Flags:
    """Return which rows have coordinates that are not on Earth.

    Parameters
    ----------
    coordinates
        Of all sequences, x before y, shape (points, 2); a row with NaN or infinite ones counts as outside.

    Returns
    -------
    Flags
        Shape (rows,); rows that only shapely can read are not among them.
    """
    number = len(sequences.headers.type_codes)
    x, y = coordinates[:, 0], coordinates[:, 1]
    # One look at the extremes is enough for nearly every batch.
    if not len(x) or (max(-x.min(), x.max()) <= limits.half_turn and max(-y.min(), y.max()) <= _latitude_limit(limits)):
        return np.zeros(number, np.bool_)
    return rows_outside(coordinates, np.repeat(sequences.rows, sequences.points), number, limits)


def rows_outside(coordinates: Coordinates, owners: Integers, number: int, limits: Limits) -> Flags:
    """Return which of `number` rows have coordinates that are not on Earth.

    Parameters
    ----------
    coordinates
        x before y, shape (points, 2).
    owners
        The row of each point, shape (points,).
    """
    x, y = np.abs(coordinates[:, 0]), np.abs(coordinates[:, 1])
    farthest = limits.half_turn * (3 if limits.wraps else 1)
    outside = np.zeros(number, np.bool_)
    # Written so that NaN, which compares as false, is outside.
    outside[owners[~((y <= _latitude_limit(limits)) & (x <= farthest))]] = True
    if limits.wraps:
        begins, has_points = np.zeros(number, np.bool_), np.zeros(number, np.bool_)
        begins[owners[x <= 2 * limits.half_turn]] = True
        has_points[owners] = True
        outside |= has_points & ~begins
    return outside


def _latitude_limit(limits: Limits) -> float:
    return limits.half_turn / 2 * (1 + _TOLERANCE / 90)


def guess_crs(points: Coordinates, place: Place | None) -> str:
    """Return a sentence on the CRS that coordinates look like; "" when they look like none that is usual.

    Parameters
    ----------
    points
        Coordinates that are not on Earth in the CRS that the layer is said to have, shape (n, 2), n > 0.
    place
        A row whose place is known from other columns.
    """
    known = _fits_place(place) if place else None
    if known:
        return f"By the row's columns of longitude and latitude they fit {known}."
    x, y = points[:, 0], points[:, 1]
    if _within(x, -90, 90) and _within(y, -_HALF_TURN, _HALF_TURN):
        return "They look like latitude before longitude: exchange the two."
    zone = int(np.median(x) // 1_000_000)
    if _within(x - zone * 1_000_000, *_UTM_EASTINGS) and _within(y, *_UTM_NORTHINGS):
        if zone in _GAUSS_KRUEGER and _within(y, *_GERMAN_NORTHINGS):
            return f"They look like Gauss-Krüger zone {zone} (EPSG:{31464 + zone})."
        if zone in _ZONE_BEFORE_EASTING:
            return f"They look like UTM with the zone before the easting (EPSG:{_ZONE_BEFORE_EASTING[zone]})."
        if zone == 0:
            return (
                "They look like metres of UTM (EPSG:32601 to EPSG:32660 in the north, EPSG:32701 to EPSG:32760 in the "
                "south, by the zone) or of Web Mercator (EPSG:3857)."
            )
    if _within(x, -_MERCATOR, _MERCATOR) and _within(y, -_MERCATOR, _MERCATOR):
        return "They look like metres, perhaps of Web Mercator (EPSG:3857) or of a national grid."
    return ""


def _fits_place(place: Place) -> str | None:
    """Return the CRS in which a known place has the coordinates: a zone of UTM, or Web Mercator."""
    (x, y), (longitude, latitude) = place
    zone = int((longitude + _HALF_TURN) // 6) % 60
    # Files of a country in two zones are often in one of them, so the neighbours are tried as well.
    zones = [(zone + step) % 60 + 1 for step in (0, -1, 1)]
    for code in (3857, *((32600 if latitude >= 0 else 32700) + number for number in zones)):
        project = pyproj.Transformer.from_crs(WGS84, f"EPSG:{code}", always_xy=True)
        there = project.transform(longitude, latitude)
        if np.hypot(there[0] - x, there[1] - y) <= _SAME_PLACE:
            return f"EPSG:{code}"
    return None


def _within(numbers: Coordinates, low: float, high: float) -> bool:
    """Whether nine of ten numbers lie within limits: the others may be errors of single rows."""
    return bool(np.mean((numbers >= low) & (numbers <= high)) >= 0.9)
