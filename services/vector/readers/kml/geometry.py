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
_BOUNDARIES = ("outerBoundaryIs", "innerBoundaryIs")
_SMALLEST_RING = 4
_LOOSE_COMMA = re.compile(r"\s*,\s*")
_MAX_TEXT = 1_000


class Shapes:
    """The geometry of one placemark while it is read."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._shells: list[Any] = []
        self._holes: list[Any] = []
        self._points: list[Any] = []
        self._shapes: list[Any] = []
        self._fault: str | None = None
        self._text = ""

    def begin(self, name: str) -> None:
        """Begin a geometry or a boundary, perhaps within another."""
        self._open.append(name)
        self._points = []
        if name == "Polygon":
            self._shells, self._holes = [], []

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
        self._open.pop()
        if name in _BOUNDARIES or (name == "LinearRing" and "Polygon" in self._open):
            self._end_ring(name)
            return
        try:
            self._shapes += self._build(name)
        except (ValueError, shapely.errors.GEOSException):
            self._fail(reasons.COORDINATES_UNREADABLE, self._text)

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

    def _end_ring(self, name: str) -> None:
        """Keep the points as a ring: a boundary has one LinearRing by the schema, and several in some files."""
        points, self._points = self._points, []
        if not points:
            return
        boundary = name if name in _BOUNDARIES else self._open[-1]
        if boundary in _BOUNDARIES:
            (self._shells if boundary == "outerBoundaryIs" else self._holes).append(_ring(points))
        else:
            # Nothing tells whether a ring without a boundary is a shell or a hole.
            self._fail(reasons.COORDINATES_UNREADABLE, self._text)

    def _build(self, name: str) -> list[Any]:
        """Return the shapes of a geometry that ends; none for one without coordinates, or whose parts are shapes."""
        points, self._points = self._points, []
        if name == "Polygon":
            return _polygons(self._shells, self._holes)
        if not points:
            return []
        if name == "Point":
            if any(point[:2] != points[0][:2] for point in points):
                raise ValueError("a point has one place")
            return points[:1]
        if name in ("LineString", "LinearRing", "Track"):
            if len(points) > 1:
                return [shapely.LineString(_even(points))]
            self._fail(reasons.ONE_POINT, self._text)
        return []


def _polygons(shells: list[Any], holes: list[Any]) -> list[Any]:
    """Return a polygon of each shell, every hole in the smallest shell around it.

    Raises ValueError for a hole without a shell, and GEOSException for holes and shells that GEOS cannot compare.
    """
    if holes and not shells:
        raise ValueError("a hole needs a shell")
    if len(shells) < 2:
        return [shapely.Polygon(shell, holes) for shell in shells]
    areas, gaps = (np.array([shapely.Polygon(ring) for ring in rings], np.object_) for rings in (shells, holes))
    inside, around = shapely.STRtree(areas).query(gaps, predicate="covered_by")
    # From the largest shell to the smallest, which stays.
    order = np.argsort(-shapely.area(areas)[around], kind="stable")
    owners = dict(zip(inside[order].tolist(), around[order].tolist(), strict=True))
    # A hole in no shell makes the first polygon invalid, whose repair is counted.
    of_shell: list[list[Any]] = [[] for _ in shells]
    for number, hole in enumerate(holes):
        of_shell[owners.get(number, 0)].append(hole)
    return [shapely.Polygon(shell, found) for shell, found in zip(shells, of_shell, strict=True)]


def _ring(points: list[tuple[float, ...]]) -> Any:
    """Return a closed ring of at least four points, without area if it has fewer places: a repair drops those."""
    even = _even(points)
    if (even[0] != even[-1]).any():
        even = np.vstack((even, even[:1]))
    missing = max(0, _SMALLEST_RING - len(even))
    return np.vstack((even[:1].repeat(missing, axis=0), even))


def _even(points: list[tuple[float, ...]]) -> Any:
    """Return points of equal dimension, shape (n, 2) or (n, 3): heights are kept only where all points have one."""
    width = min(len(point) for point in points) if points else 2
    return np.array([point[:width] for point in points])


def _numbers(parts: list[str]) -> tuple[float, ...]:
    numbers = tuple(float(part) for part in parts[:3] if part)
    if len(numbers) < 2:
        raise ValueError("a coordinate needs two numbers")
    return numbers
