"""KML and KMZ, read as a stream: every placemark of every folder, its data as columns of text.

GDAL's driver builds the whole document in memory and refuses nothing that an XML file can do to a parser. Here the
prologue is looked at before any parser sees the file: a document type declaration, by which entities are defined, or
an encoding that hides one, is refused. Format: OGC 12-007r2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat

from schema.errors import PermanentError
from services.vector.readers.kml.geometry import Shapes

MAX_DEPTH = 100
"""Elements within elements; real files stay below 20."""
_BLOCK = 256 * 1024
_HEAD = 64 * 1024
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")
_ROOT = re.compile(rb"<([\w.-]+:)?kml[\s/>]")
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
    """What is wrong with its coordinates."""
    text: str = ""
    """The coordinates that the fault is about."""


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
        self._series: list[str] = []
        self._words: list[str] = []
        self._shapes = Shapes()

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
            self._shapes = Shapes()
        elif self._open and name in ("Data", "SimpleData", "SimpleArrayData"):
            self._key = attributes.get("name") or name
            self._series = []
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
            placemark.geometry, placemark.fault, placemark.text = self._shapes.finish()
            self._done.append(placemark)
            self._open = None
        elif name in ("coordinates", "coord"):
            if self._geometries:
                self._shapes.add(text, commas=name == "coordinates")
        elif name in self._geometries or name in ("outerBoundaryIs", "innerBoundaryIs"):
            self._shapes.end(name)
        else:
            self._end_data(placemark.values, name, parent, text)

    def _end_data(self, values: dict[str, str], name: str, parent: str, text: str) -> None:
        if name == "value" and parent == "SimpleArrayData":
            self._series.append(text)
        elif name == "SimpleArrayData" and self._key:
            # The values along a track, one for each of its points.
            values.setdefault(self._key, json.dumps(self._series, ensure_ascii=False))
        elif name in ("value", "SimpleData") and self._key:
            values.setdefault(self._key, text)
        elif parent == "ExtendedData" and name not in ("Data", "SchemaData"):
            # Elements of other namespaces, as the specification allows.
            values.setdefault(name, text)
        elif name == "when" and parent == "Track":
            values.setdefault("begin", text)
            values["end"] = text
        elif name in _TEXTS and (parent in ("Placemark", "TimeSpan", "TimeStamp")):
            values.setdefault(name, text)


def _refused(message: str) -> PermanentError:
    return PermanentError(
        message,
        remediation="Export the file anew as plain KML in UTF-8, and upload that.",
        code="xml_refused",
    )
