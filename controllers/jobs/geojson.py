"""GeoJSON geometries from outside: checked before a database sees them (RFC 7946), each fault in a sentence. Pure.

Not a package: those for pydantic check neither ranges nor sizes, take "1" for 1, and report seven faults for one shape.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from schema.jobs import Json

MAX_POSITIONS = 10_000
MAX_GEOMETRIES = 1_000
TYPES = ("Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection")


def check_geometry(value: object) -> Json:
    """Return a geometry with nothing in it but type and coordinates, which are longitude, latitude and maybe a height.

    Raises
    ------
    ValueError
        The first fault, and where it is.
    """
    counter = _Counter()
    return _geometry(value, "", counter)


class _Counter:
    """How much of a geometry has been read."""

    def __init__(self) -> None:
        self.positions = 0

    def count(self) -> None:
        self.positions += 1
        if self.positions > MAX_POSITIONS:
            raise ValueError(f"has more than {MAX_POSITIONS:,} positions; simplify it")


def _geometry(value: object, where: str, counter: _Counter) -> Json:
    if not isinstance(value, dict):
        # Pydantic takes a ValueError for a fault of the input, and a TypeError for one of the code.
        raise ValueError(f"{where}must be a GeoJSON geometry: an object with type and coordinates")  # noqa: TRY004
    kind = value.get("type")
    if kind in ("Feature", "FeatureCollection"):
        raise ValueError(f"{where}is a {kind}; send the geometry of a feature alone")
    if kind not in TYPES:
        raise ValueError(f"{where}has a type that is none of {', '.join(TYPES)}")
    if kind != "GeometryCollection":
        read = _READERS[kind]
        return {"type": kind, "coordinates": read(value.get("coordinates"), f"{where}coordinates", counter)}
    parts = value.get("geometries")
    if where:
        raise ValueError(f"{where}is a GeometryCollection within another, which is not supported")
    if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_GEOMETRIES:
        raise ValueError(f"geometries must be a list of 1 to {MAX_GEOMETRIES:,} geometries")
    geometries = [_geometry(part, f"geometries[{n}] ", counter) for n, part in enumerate(parts)]
    return {"type": kind, "geometries": geometries}


def _position(value: object, where: str, counter: _Counter) -> list[float]:
    counter.count()
    if not isinstance(value, list) or len(value) not in (2, 3) or not all(map(is_number, value)):
        raise ValueError(f"{where} must be a position: two numbers, or three with a height")
    if not -180 <= value[0] <= 180 or not -90 <= value[1] <= 90:
        raise ValueError(
            f"{where} is {value[0]:g}, {value[1]:g}: longitudes go from -180 to 180, latitudes from -90 to 90, "
            "longitude first"
        )
    # jsonb has no negative zero.
    return [number + 0 for number in value]


def _many(read: Callable[[object, str, _Counter], Any], least: int, what: str) -> Callable[..., list[Any]]:
    def read_many(value: object, where: str, counter: _Counter) -> list[Any]:
        if not isinstance(value, list) or len(value) < least:
            raise ValueError(f"{where} must be a list of {least} or more {what}")
        return [read(part, f"{where}[{n}]", counter) for n, part in enumerate(value)]

    return read_many


def _ring(value: object, where: str, counter: _Counter) -> list[list[float]]:
    ring: list[list[float]] = _many(_position, 4, "positions, the last of which is the first")(value, where, counter)
    if ring[0] != ring[-1]:
        raise ValueError(f"{where} is a ring that is not closed: its last position must be its first")
    return ring


_line = _many(_position, 2, "positions")
_polygon = _many(_ring, 1, "rings")
_READERS: dict[str, Callable[[object, str, _Counter], Any]] = {
    "Point": _position,
    "MultiPoint": _many(_position, 1, "positions"),
    "LineString": _line,
    "MultiLineString": _many(_line, 1, "lines"),
    "Polygon": _polygon,
    "MultiPolygon": _many(_polygon, 1, "polygons"),
}


def is_number(value: object) -> bool:
    """Whether a JSON value is a finite number; true and false are not."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        # An integer beyond the range of a float.
        return False
