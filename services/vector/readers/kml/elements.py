"""KML and KMZ, read as a stream: every placemark of every folder, its data as columns of text.

GDAL's driver builds the whole document in memory, and expands entities. Here the prologue is checked before any parser
sees the file: a document type declaration, which can define entities, is refused, and so is an encoding that could hide
one. Format: OGC 12-007r2.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from schema.errors import PermanentError
from services.vector.readers.kml.geometry import Shapes

# Elements within elements; real files stay below 20.
MAX_DEPTH = 100
_BLOCK = 256 * 1024
_HEAD = 64 * 1024
_ENCODING = re.compile(rb"""encoding\s*=\s*["']([^"']*)["']""")
_ROOT = re.compile(rb"<([\w.-]+:)?kml[\s/>]")
# Of the encodings that expat knows, those in which `<!DOCTYPE` has its ASCII bytes. UTF-16 would hide it.
_SAFE_ENCODINGS = ("utf-8", "us-ascii", "ascii", "iso-8859-1")
_TEXTS = frozenset(("name", "description", "address", "phoneNumber", "begin", "end", "when"))
_GEOMETRIES = frozenset(("Point", "LineString", "LinearRing", "Polygon", "MultiGeometry", "Track", "MultiTrack"))
_CONTAINERS = frozenset(("Document", "Folder"))
LAYER = "layer"


@dataclass
class Placemark:
    """A placemark: its folder, its data, its geometry."""

    layer: str
    """Names of the folders around it, joined by /."""
    values: dict[str, str] = field(default_factory=dict)
    geometry: bytes | None = None
    """WKB."""
    fault: str | None = None
    """The reason why its coordinates cannot be read."""
    text: str = ""
    """The coordinates that cannot be read."""


def check_safe(path: Path) -> None:
    """Check that a file is KML and declares neither a document type nor entities. Raises PermanentError.

    An encoding in which such a declaration could not be recognized is refused as well.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(b"\xef\xbb\xbf")
    declared = _ENCODING.search(head.partition(b"?>")[0]) if head.lstrip().startswith(b"<?xml") else None
    if declared and declared[1].decode("latin-1").lower() not in _SAFE_ENCODINGS:
        raise _refused(f"The file's encoding is {declared[1].decode('latin-1')[:40]!r}, which is not supported in KML.")
    root = head.lstrip()
    # Declarations and comments may come before the first element.
    while root.startswith((b"<?", b"<!--")):
        root = root.partition(b"?>" if root.startswith(b"<?") else b"-->")[2].lstrip()
    if root.startswith(b"<!"):
        raise _refused("The file declares a document type or entities, which are not allowed in KML files here.")
    if not root.startswith(b"<"):
        raise _refused("The file does not begin like an XML document in UTF-8.")
    if not _ROOT.match(root):
        raise PermanentError(
            "The file is XML, but not KML: its first element is not <kml>.",
            remediation="Give the file the extension of its real format, and upload it again.",
            code="wrong_format",
        )


def read_placemarks(path: Path, check: Callable[[], None], *, geometries: bool = True) -> Iterator[Placemark]:
    """Yield every placemark in the order of the file, without its geometry when only its data is wanted.

    Memory: the placemarks of 256 kB of XML. Raises PermanentError naming the line where the XML is not well-formed.
    """
    reader = _Reader(geometries=geometries)
    with path.open("rb") as file:
        while True:
            check()
            block = file.read(_BLOCK)
            yield from reader.feed(block, final=not block)
            if not block:
                return


class _Reader:
    """Handlers of expat's events, and the one placemark that is open."""

    def __init__(self, *, geometries: bool) -> None:
        self._geometries = _GEOMETRIES if geometries else frozenset[str]()
        self._words: list[str] = []
        self._parser = expat.ParserCreate(namespace_separator=" ")
        # Without it expat calls the handler once for each line of text.
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._words.append
        # check_safe has looked at the prologue; these stand behind it.
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._done: list[Placemark] = []
        self._path: list[str] = []
        self._folders: list[str] = []
        self._open: Placemark | None = None
        self._key: str | None = None
        self._series: list[str] = []
        self._shapes = Shapes()

    def feed(self, block: bytes, *, final: bool) -> list[Placemark]:
        """Parse a block; return the placemarks that end in it."""
        try:
            self._parser.Parse(block, final)
        except expat.ExpatError as exc:
            raise PermanentError(
                f"The KML is not well-formed XML at line {exc.lineno}: {expat.ErrorString(exc.code)}.",
                remediation="Export the file again, check that it opens, and upload it.",
                code="source_unreadable",
            ) from exc
        done, self._done = self._done, []
        return done

    def _refuse(self, *_: object) -> None:
        raise _refused("The file declares a document type or entities, which are not allowed in KML files here.")

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        # Namespaces of KML 2.0 to 2.3 differ, and names do not.
        name = tag.rpartition(" ")[2]
        self._path.append(name)
        self._words.clear()
        if len(self._path) > MAX_DEPTH:
            raise _refused(f"Elements of the file are nested more than {MAX_DEPTH} deep.")
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

    def _end(self, tag: str) -> None:
        name = tag.rpartition(" ")[2]
        self._path.pop()
        text = "".join(self._words).strip()
        self._words.clear()
        parent = self._path[-1] if self._path else ""
        if name in _CONTAINERS:
            self._folders.pop()
        elif name == "name" and parent in _CONTAINERS:
            # The slash separates folders in the names of layers.
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
            # The values along a track, one for each of its points, become a list in one column.
            values.setdefault(self._key, json.dumps(self._series, ensure_ascii=False))
        elif name in ("value", "SimpleData") and self._key:
            values.setdefault(self._key, text)
        elif parent == "ExtendedData" and name not in ("Data", "SchemaData"):
            # Elements of other namespaces, which the specification allows.
            values.setdefault(name, text)
        elif name == "when" and parent == "Track":
            # A track is a line: of the times of its points the first and the last are kept.
            values.setdefault("begin", text)
            values["end"] = text
        elif name in _TEXTS and (parent in ("Placemark", "TimeSpan", "TimeStamp")):
            values.setdefault(name, text)


def _refused(message: str) -> PermanentError:
    return PermanentError(
        message,
        remediation="Export the file as plain KML in UTF-8, and upload that.",
        code="xml_refused",
    )
