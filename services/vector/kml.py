"""KML and KMZ, read as a stream: every placemark of every folder, its data as columns of text.

GDAL's driver builds the whole document in memory and refuses nothing that an XML file can do to a parser. Here the
prologue is looked at before any parser sees the file: a document type declaration, by which entities are defined, or
an encoding that hides one, is refused. Format: OGC 12-007r2.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import shapely

from schema.errors import PermanentError

MAX_DEPTH = 100
"""Elements within elements; real files stay below 20."""
_BLOCK = 256 * 1024
_HEAD = 64 * 1024
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")
_POINT, _POINT_Z = struct.Struct("<BIdd"), struct.Struct("<BIddd")
_ROOT = re.compile(rb"<([\w.-]+:)?kml[\s/>]")
_LOOSE_COMMA = re.compile(r"\s*,\s*")
_SAFE_ENCODINGS = ("utf-8", "us-ascii", "ascii", "iso-8859-1")
_TEXTS = frozenset(("name", "description", "address", "phoneNumber", "begin", "end", "when"))
_GEOMETRIES = frozenset(("Point", "LineString", "LinearRing", "Polygon", "MultiGeometry", "Track", "MultiTrack"))
_CONTAINERS = frozenset(("Document", "Folder"))
LAYER = "layer"


@dataclass
class Placemark:
    """A placemark: where it stands, its data, its geometry."""

    layer: str
    """Names of the folders around it, joined by /."""
    values: dict[str, str] = field(default_factory=dict)
    geometry: Any | None = None
    fault: str | None = None


def check_safe(path: Path) -> None:
    """Refuse a file that declares a document type or entities, or is written so that this cannot be seen."""
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    declared = _ENCODING.search(head.partition(b"?>")[0]) if head.lstrip().startswith(b"<?xml") else None
    if declared and declared[1].decode("latin-1").lower() not in _SAFE_ENCODINGS:
        raise _refused(f"The file's encoding is {declared[1].decode('latin-1')[:40]!r}.")
    root = _skip_prologue(head)
    if root.startswith(b"<!"):
        raise _refused("The file declares a document type or entities, which KML has no use for.")
    if not root.startswith(b"<"):
        raise _refused("The file does not begin as an XML document in UTF-8.")
    if not _ROOT.match(root):
        raise PermanentError(
            "The file is XML, but no KML: its first element is another one.",
            remediation="Give the file the extension of its real format, and upload it anew.",
            code="wrong_format",
        )


def _skip_prologue(head: bytes) -> bytes:
    """Cut off declarations and comments before the first element."""
    rest = head.lstrip()
    while rest.startswith((b"<?", b"<!--")):
        _, found, rest = rest.partition(b"?>" if rest.startswith(b"<?") else b"-->")
        if not found:
            return b""
        rest = rest.lstrip()
    return rest


def read_placemarks(path: Path, check: Callable[[], None], *, geometries: bool = True) -> Iterator[Placemark]:
    """Give every placemark in the order of the file, without its geometry when only its data is wanted.

    Raises PermanentError naming the line where the XML breaks.
    """
    reader = _Reader(geometries=geometries)
    with path.open("rb") as file:
        while True:
            check()
            block = file.read(_BLOCK)
            reader.feed(block, final=not block)
            yield from reader.take()
            if not block:
                return


class _Reader:
    """Listens to expat and keeps one open placemark."""

    def __init__(self, *, geometries: bool) -> None:
        self._geometries = _GEOMETRIES if geometries else frozenset[str]()
        self._parser = expat.ParserCreate(namespace_separator=" ")
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._done: list[Placemark] = []
        self._path: list[str] = []
        self._folders: list[str] = []
        self._open: Placemark | None = None
        self._key: str | None = None
        self._words: list[str] = []
        self._shapes = _Shapes()

    def feed(self, block: bytes, *, final: bool) -> None:
        try:
            self._parser.Parse(block, final)
        except expat.ExpatError as exc:
            raise PermanentError(
                f"The KML breaks off or is no XML at line {exc.lineno}: {expat.ErrorString(exc.code)}.",
                remediation="Export the file again, check that it opens, and upload it anew.",
                code="source_unreadable",
            ) from exc

    def take(self) -> list[Placemark]:
        done, self._done = self._done, []
        return done

    def _refuse(self, *_: object) -> None:
        raise _refused("The file declares a document type or entities, which KML has no use for.")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(" ")[2]
        self._path.append(name)
        self._words = []
        if len(self._path) > MAX_DEPTH:
            raise _refused(f"Elements are nested more than {MAX_DEPTH} deep.")
        if name in _CONTAINERS:
            self._folders.append("")
        elif name == "Placemark":
            self._open = Placemark("/".join(filter(None, self._folders)))
            self._shapes = _Shapes()
        elif self._open and name in ("Data", "SimpleData", "SimpleArrayData"):
            self._key = attributes.get("name") or name
        elif self._open and name in self._geometries:
            self._shapes.begin(name)

    def _text(self, data: str) -> None:
        self._words.append(data)

    def _end(self, tag: str) -> None:
        name = tag.rpartition(" ")[2]
        self._path.pop()
        text = "".join(self._words).strip()
        self._words = []
        parent = self._path[-1] if self._path else ""
        if name in _CONTAINERS:
            self._folders.pop()
        elif name == "name" and parent in _CONTAINERS:
            self._folders[-1] = text.replace("/", "|")
        elif self._open:
            self._end_within(self._open, name, parent, text)

    def _end_within(self, placemark: Placemark, name: str, parent: str, text: str) -> None:
        if name == "Placemark":
            placemark.geometry, placemark.fault = self._shapes.finish()
            self._done.append(placemark)
            self._open = None
        elif name in ("value", "SimpleData") and self._key:
            placemark.values.setdefault(self._key, text)
        elif name in ("coordinates", "coord"):
            if self._geometries:
                self._shapes.add(text, commas=name == "coordinates")
        elif name in self._geometries or name in ("outerBoundaryIs", "innerBoundaryIs"):
            self._shapes.end(name)
        elif parent == "ExtendedData" and name not in ("Data", "SchemaData"):
            # Elements of other namespaces, as the specification allows.
            placemark.values.setdefault(name, text)
        elif name in _TEXTS and (parent in ("Placemark", "TimeSpan", "TimeStamp")):
            placemark.values.setdefault(name, text)


class _Shapes:
    """The geometry of one placemark while it is read."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self._rings: list[tuple[bool, Any]] = []
        self._points: list[Any] = []
        self._shapes: list[Any] = []
        self._fault: str | None = None

    def begin(self, name: str) -> None:
        self._open.append(name)
        self._points = []
        if name == "Polygon":
            self._rings = []

    def add(self, text: str, *, commas: bool) -> None:
        if commas and ", " in text:
            text = _LOOSE_COMMA.sub(",", text)
        try:
            tuples = [_numbers(part.split(",")) for part in text.split()] if commas else [_numbers(text.split())]
        except ValueError:
            self._fault = "coordinates_unreadable"
            return
        self._points += tuples

    def end(self, name: str) -> None:
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
            self._fault = "coordinates_unreadable"
            return
        if shape is not None:
            self._shapes.append(shape)

    def finish(self) -> tuple[Any | None, str | None]:
        """Give the geometry as WKB, or what is wrong with it."""
        if self._fault:
            return None, self._fault
        if not self._shapes:
            return None, None
        if len(self._shapes) == 1 and isinstance(self._shapes[0], tuple):
            point = self._shapes[0]
            return (_POINT.pack(1, 1, *point) if len(point) == 2 else _POINT_Z.pack(1, 1001, *point)), None
        self._shapes = [shapely.Point(shape) if isinstance(shape, tuple) else shape for shape in self._shapes]
        shape = self._shapes[0] if len(self._shapes) == 1 else _collect(self._shapes)
        return shapely.to_wkb(shape, output_dimension=3, flavor="iso", byte_order=1), None

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
            return shapely.LineString(_even(points)) if len(points) > 1 else None
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


def _refused(message: str) -> PermanentError:
    return PermanentError(
        message,
        remediation="Export the file anew as plain KML in UTF-8, and upload that.",
        code="xml_refused",
    )
