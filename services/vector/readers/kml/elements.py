"""KML and KMZ, read as a stream: every placemark of every folder, its data as columns of text.

GDAL's driver builds the whole document in memory, and expands entities; `prologue` has checked that there are none.
Format: OGC 12-007r2.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from xml.parsers import expat

from schema.errors import PermanentError
from services.vector.readers.kml.geometry import Shapes
from services.vector.readers.kml.prologue import DECLARES, refused

# Elements within elements; real files stay below 20.
MAX_DEPTH = 100
_BLOCK = 256 * 1024
_MAX_LINKS = 100
_TEXTS = frozenset(("name", "description", "address", "phoneNumber", "begin", "end", "when"))
_GEOMETRIES = frozenset((
    "Point", "LineString", "LinearRing", "Polygon", "outerBoundaryIs", "innerBoundaryIs", "MultiGeometry", "Track",
    "MultiTrack",
))  # fmt: skip
_CONTAINERS = frozenset(("Document", "Folder"))
_VIEWS = frozenset(("LookAt", "Camera"))
"""Where a viewer stands, and perhaps when; that is not a time of the placemark."""


@dataclass
class Placemark:
    """A placemark: its folder, its data, its geometry."""

    layer: str
    """Names of the folders around it, joined by /."""
    id: str | None = None
    """The id attribute."""
    values: dict[str, str] = field(default_factory=dict)
    geometry: bytes | None = None
    """WKB."""
    fault: str | None = None
    """The reason why its coordinates cannot be read."""
    text: str = ""
    """The coordinates that cannot be read."""


def read_placemarks(
    path: Path, check: Callable[[], None], *, geometries: bool = True, links: list[str] | None = None
) -> Iterator[Placemark]:
    """Yield every placemark in the order of the file.

    Memory: the placemarks of 256 kB of XML.

    Parameters
    ----------
    geometries
        Whether geometries are read, and not the data alone.
    links
        Gets the addresses of the document's network links, up to a hundred. They are never followed.

    Raises
    ------
    PermanentError
        The XML is not well-formed: the message names the line.
    """
    reader = _Reader(links if links is not None else [], geometries=geometries)
    with path.open("rb") as file:
        while True:
            check()
            block = file.read(_BLOCK)
            yield from reader.feed(block, final=not block)
            if not block:
                return


def unused_name(name: str, taken: Collection[str], repeats: Counter[str]) -> str:
    """Return a name with the next free number: name, name_2, name_3. `repeats` remembers where a search ended."""
    free = name
    while free in taken:
        repeats[name] += 1
        free = f"{name}_{repeats[name] + 1}"
    return free


class _Reader:
    """Handlers of expat's events, and the one placemark that is open."""

    def __init__(self, links: list[str], *, geometries: bool) -> None:
        self._geometries = _GEOMETRIES if geometries else frozenset[str]()
        self._links = links
        self._words: list[str] = []
        # Without a separator expat leaves prefixes alone. Google Earth takes gx:Track and xsi:schemaLocation without
        # their declarations, so many files lack them; namespaces of KML 2.0 to 2.3 differ anyway, and names do not.
        self._parser = expat.ParserCreate()
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
        self._key = ""
        self._repeats: Counter[str] = Counter()
        self._series: dict[str, list[str]] = {}
        self._times: list[str] = []
        self._shapes = Shapes()
        # Depth of the element whose text is being read; elements below it are markup.
        self._text_depth = 0
        self._last_opened = -1

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
        raise refused(DECLARES)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        self._path.append(name)
        if len(self._path) > MAX_DEPTH:
            raise refused(f"Elements of the file are nested more than {MAX_DEPTH} deep.")
        if self._text_depth:
            self._open_markup(tag, attributes)
            return
        self._words.clear()
        if self._is_text(name):
            self._text_depth = len(self._path)
        if name in _CONTAINERS:
            self._folders.append("")
        elif name == "Placemark":
            self._open = Placemark("/".join(filter(None, self._folders)), attributes.get("id"))
            self._repeats, self._series, self._times = Counter(), {}, []
            self._shapes = Shapes()
        elif self._open and name in ("Data", "SimpleData", "SimpleArrayData"):
            self._key = attributes.get("name") or name
            if name == "SimpleArrayData":
                self._series.setdefault(self._key, [])
        elif self._open and name in self._geometries:
            self._shapes.begin(name)

    def _is_text(self, name: str) -> bool:
        """Whether the text of the element that was just opened becomes a value."""
        parent, above = [*self._path[-3:-1][::-1], "", ""][:2]
        if self._open is None:
            return name == "name" and parent in _CONTAINERS
        if name in _TEXTS:
            dated = parent in ("TimeSpan", "TimeStamp") and above not in _VIEWS
            if parent == "Placemark" or dated or (name == "when" and parent == "Track"):
                return True
        if name == "SimpleData" or (name == "value" and parent in ("Data", "SimpleArrayData")):
            return True
        # Elements of other namespaces, which the specification allows.
        return parent == "ExtendedData" and name not in ("Data", "SchemaData", "SimpleArrayData")

    def _open_markup(self, tag: str, attributes: dict[str, str]) -> None:
        # Text with HTML in it should be CDATA, and often is not: what comes out is what CDATA would have been.
        shown = "".join(f' {key}="{escape(value)}"' for key, value in attributes.items())
        self._last_opened = len(self._words)
        self._words.append(f"<{tag}{shown}>")

    def _close_markup(self, tag: str) -> None:
        if self._last_opened == len(self._words) - 1:
            self._words[-1] = f"{self._words[-1][:-1]}/>"
        else:
            self._words.append(f"</{tag}>")

    def _end(self, tag: str) -> None:
        depth = len(self._path)
        name = self._path.pop()
        if self._text_depth and depth > self._text_depth:
            self._close_markup(tag)
            return
        is_text, self._text_depth = bool(self._text_depth), 0
        text = "".join(self._words).strip()
        self._words.clear()
        parent = self._path[-1] if self._path else ""
        if name in _CONTAINERS:
            self._folders.pop()
        elif self._open:
            self._end_within(self._open, name, parent, text, is_text=is_text)
        elif is_text:
            # The slash separates folders in the names of layers.
            self._folders[-1] = text.replace("/", "|")
        elif name == "href" and "NetworkLink" in self._path and len(self._links) < _MAX_LINKS:
            self._links.append(text)

    def _end_within(self, placemark: Placemark, name: str, parent: str, text: str, *, is_text: bool) -> None:
        if is_text:
            self._keep(placemark, name, parent, text)
        elif name == "Placemark":
            self._finish(placemark)
        elif name in ("coordinates", "coord"):
            if self._geometries:
                self._shapes.add(text, commas=name == "coordinates")
        elif name in self._geometries:
            self._shapes.end(name)

    def _keep(self, placemark: Placemark, name: str, parent: str, text: str) -> None:
        if name == "when" and parent == "Track":
            # A track is a line: of the times of its points the first and the last are kept.
            self._times = [*self._times[:1], text]
        elif parent == "SimpleArrayData":
            # The values along a track, one for each of its points, become a list in one column.
            self._series[self._key].append(text)
        else:
            key = self._key if name == "SimpleData" or (name == "value" and parent == "Data") else name
            placemark.values[unused_name(key, placemark.values, self._repeats)] = text

    def _finish(self, placemark: Placemark) -> None:
        late = [(key, json.dumps(series, ensure_ascii=False)) for key, series in self._series.items()]
        if self._times:
            late += [("begin", self._times[0]), ("end", self._times[-1])]
        for key, text in late:
            placemark.values[unused_name(key, placemark.values, self._repeats)] = text
        placemark.geometry, placemark.fault, placemark.text = self._shapes.finish()
        self._done.append(placemark)
        self._open = None
