"""The geometry of a placemark, built while its elements are read."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import shapely

from services.vector.geometry import reasons

_POINT, _POINT_Z = struct.Struct("<BIdd"), struct.Struct("<BIddd")
_COLLECTIONS: dict[str, Any] = {
    "Point": shapely.MultiPoint,
    "LineString": shapely.MultiLineString,
    "Polygon": shapely.MultiPolygon,
}
_LOOSE_COMMA = re.compile(r"\s*,\s*")
_MAX_TEXT = 1_000


class Shapes:
    """The geometry of one placemark while it is read."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._rings: list[tuple[bool, Any]] = []
        self._points: list[Any] = []
        self._shapes: list[Any] = []
        self._fault: str | None = None
        self._text = ""

    def begin(self, name: str) -> None:
        """Begin a geometry, perhaps within another."""
        self._open.append(name)
        self._points = []
        if name == "Polygon":
            self._rings = []

    def add(self, text: str, *, commas: bool) -> None:
        """Add the coordinates of an element: tuples separated by blanks, or one tuple of a track, without commas."""
        if not text:
            # In a track: the place at this moment is not known.
            return
        self._text = self._text or text
        if commas and ", " in text:
            # Not allowed by the specification, and written all the same.
            text = _LOOSE_COMMA.sub(",", text)
        try:
            tuples = [_numbers(part.split(",")) for part in text.split()] if commas else [_numbers(text.split())]
        except ValueError:
            self._fail(reasons.COORDINATES_UNREADABLE, text)
            return
        self._points += tuples

    def end(self, name: str) -> None:
        """End a geometry or a boundary."""
        if name in ("outerBoundaryIs", "innerBoundaryIs"):
            self._rings.append((name == "outerBoundaryIs", self._points))
            self._points = []
            return
        self._open.pop()
        if name == "LinearRing" and "Polygon" in self._open:
            return
        try:
            shape = self._build(name)
        except (ValueError, shapely.errors.GEOSException):
            self._fail(reasons.COORDINATES_UNREADABLE, self._text)
            return
        if shape is not None:
            self._shapes.append(shape)

    def finish(self) -> tuple[bytes | None, str | None, str]:
        """Return the geometry as ISO WKB, or the reason why it has none and the coordinates that cannot be read."""
        if self._fault or not self._shapes:
            return None, self._fault, self._text if self._fault else ""
        if len(self._shapes) == 1 and isinstance(self._shapes[0], tuple):
            # The most frequent type by far: its WKB is written without a shapely object.
            point = self._shapes[0]
            return _POINT.pack(1, 1, *point) if len(point) == 2 else _POINT_Z.pack(1, 1001, *point), None, ""
        shapes = [shapely.Point(shape) if isinstance(shape, tuple) else shape for shape in self._shapes]
        types = {shape.geom_type for shape in shapes}
        collect = _COLLECTIONS.get(types.pop() if len(types) == 1 else "", shapely.GeometryCollection)
        shape = shapes[0] if len(shapes) == 1 else collect(shapes)
        return shapely.to_wkb(shape, output_dimension=3, flavor="iso", byte_order=1), None, ""

    def _fail(self, fault: str, text: str) -> None:
        if self._fault is None:
            self._fault, self._text = fault, text[:_MAX_TEXT]

    def _build(self, name: str) -> Any | None:
        points, self._points = self._points, []
        if name == "Polygon":
            shells = [_ring(ring) for outer, ring in self._rings if outer]
            holes = [_ring(ring) for outer, ring in self._rings if not outer]
            return shapely.Polygon(shells[0], holes) if shells else None
        if not points:
            return None
        if name == "Point":
            return points[0]
        if name in ("LineString", "LinearRing", "Track"):
            if len(points) > 1:
                return shapely.LineString(_even(points))
            self._fail(reasons.ONE_POINT, self._text)
        return None


def _ring(points: list[tuple[float, ...]]) -> Any:
    even = _even(points)
    return even if len(even) > 2 else []


def _even(points: list[tuple[float, ...]]) -> Any:
    """Return points of equal dimension, shape (n, 2) or (n, 3): heights are kept only where all points have one."""
    width = min(len(point) for point in points) if points else 2
    return np.array([point[:width] for point in points])


def _numbers(parts: list[str]) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in parts[:3] if part)
    if len(numbers) < 2:
        raise ValueError("a coordinate needs two numbers")
    return numbers
