"""The geometry of a placemark, put together while its elements are read."""

from __future__ import annotations

import re
import struct
from typing import Any

import numpy as np
import shapely

UNREADABLE = "coordinates_unreadable"
ONE_POINT = "line_of_one_point"
_POINT, _POINT_Z = struct.Struct("<BIdd"), struct.Struct("<BIddd")
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
        """Add the coordinates of an element: tuples with commas, or one tuple of a track without."""
        if not text:
            # Between two points of a track: the place at this moment is not known.
            return
        self._text = self._text or text
        if commas and ", " in text:
            text = _LOOSE_COMMA.sub(",", text)
        try:
            tuples = [_numbers(part.split(",")) for part in text.split()] if commas else [_numbers(text.split())]
        except ValueError:
            self._fail(UNREADABLE, text)
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
            self._fail(UNREADABLE, self._text)
            return
        if shape is not None:
            self._shapes.append(shape)

    def finish(self) -> tuple[Any | None, str | None, str]:
        """Give the geometry as WKB, or what is wrong with it and the coordinates that this is about."""
        if self._fault:
            return None, self._fault, self._text
        return self._as_wkb(), None, ""

    def _fail(self, fault: str, text: str) -> None:
        if self._fault is None:
            self._fault, self._text = fault, text[:_MAX_TEXT]

    def _as_wkb(self) -> Any | None:
        if not self._shapes:
            return None
        if len(self._shapes) == 1 and isinstance(self._shapes[0], tuple):
            point = self._shapes[0]
            return _POINT.pack(1, 1, *point) if len(point) == 2 else _POINT_Z.pack(1, 1001, *point)
        self._shapes = [shapely.Point(shape) if isinstance(shape, tuple) else shape for shape in self._shapes]
        shape = self._shapes[0] if len(self._shapes) == 1 else _collect(self._shapes)
        return shapely.to_wkb(shape, output_dimension=3, flavor="iso", byte_order=1)

    def _build(self, name: str) -> Any | None:
        points, self._points = self._points, []
        if name == "Polygon":
            shells = [_ring(ring) for outer, ring in self._rings if outer]
            holes = [_ring(ring) for outer, ring in self._rings if not outer]
            return shapely.Polygon(shells[0], holes) if shells else None
        if not points:
            return None
        if name == "Point":
            # By far the most frequent, and made without a geometry in between.
            return points[0]
        if name in ("LineString", "LinearRing", "Track"):
            if len(points) > 1:
                return shapely.LineString(_even(points))
            self._fail(ONE_POINT, self._text)
        return None


def _ring(points: list[tuple[float, ...]]) -> Any:
    even = _even(points)
    return even if len(even) > 2 else []


def _even(points: list[tuple[float, ...]]) -> Any:
    """Give points the same number of coordinates: heights only where all have one."""
    width = min(len(point) for point in points) if points else 2
    return np.array([point[:width] for point in points])


def _numbers(parts: list[str]) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in parts[:3] if part)
    if len(numbers) < 2:
        raise ValueError("a coordinate needs two numbers")
    return numbers


def _collect(shapes: list[Any]) -> Any:
    kinds = {shape.geom_type for shape in shapes}
    if kinds == {"Point"}:
        return shapely.MultiPoint(shapes)
    if kinds == {"LineString"}:
        return shapely.MultiLineString(shapes)
    if kinds == {"Polygon"}:
        return shapely.MultiPolygon(shapes)
    return shapely.GeometryCollection(shapes)
