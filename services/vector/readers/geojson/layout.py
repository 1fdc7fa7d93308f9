"""How a GeoJSON file is built: a collection, one object or many; and what stands in it beside features."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from schema.clipping import clip
from schema.errors import PermanentError
from services.vector.readers.geojson.decode import NotJson, read_json, read_members
from services.vector.readers.geojson.odd_geometry import is_geometry
from services.vector.readers.geojson.scan import OPEN, Scanner

Kind = Literal["collection", "single", "lines", "separated"]

SEPARATOR = b"\x1e"
"""RFC 8142 puts it before each text."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SPACES = b" \t\r\n"
_BLOCK = 2**20
_HEAD = 2**16
_FEATURES = re.compile(rb'"features"\s*:\s*\Z')
_OPENED = b'{"":0'
_BEFORE = 256
"""Bytes before an array in which its name is looked for."""
_LARGEST_REST = 256 * 2**20
"""Bytes of a collection beside its features, which are parsed in one go."""
_REMEDY = "Correct or complete the file, and upload it again."


@dataclass(frozen=True)
class Layout:
    """Where the features of a file stand."""

    kind: Kind
    """collection: in the array `features`. single: the file is one Feature or geometry. lines: each line is one.
    separated: each stands behind a record separator (RFC 8142), and may have several lines."""
    begin: int
    """Byte offset of the first feature."""
    head: dict[str, bytes] = field(default_factory=dict)
    """Members of the outermost object that stand before the features."""


def find_layout(path: Path, *, by_lines: bool, check: Callable[[], None]) -> Layout:
    """Return the layout of a file; reads it up to its first feature, or up to the end of its first object.

    Parameters
    ----------
    by_lines
        Its name says that it has a feature a line. Programs write such files under other names, too.
    check
        Called for each block; may raise.

    Raises
    ------
    PermanentError
        The file does not begin with an object of JSON.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    begin = len(_BYTE_ORDER_MARK) if head.startswith(_BYTE_ORDER_MARK) else 0
    if head[begin:].lstrip(_SPACES).startswith(SEPARATOR):
        return Layout("separated", begin)
    if by_lines:
        return Layout("lines", begin)
    array, end = _find_array(path, begin, check)
    if array is None:
        # What follows the first object are further ones.
        return Layout("lines" if end is not None and not _is_blank(path, end) else "single", begin)
    with path.open("rb") as file:
        file.seek(begin)
        text = file.read(array - begin)
    return Layout("collection", array, _read_rest(text[:-1] + b"0}", begin))


def read_tail(path: Path, end: int) -> dict[str, bytes]:
    """Return the members that stand behind the list of features, whose last one ends at a byte offset.

    Raises
    ------
    PermanentError
        The file does not end where its outermost object does, or has a second list of features.
    """
    size = path.stat().st_size
    if size - end > _LARGEST_REST:
        raise _too_large()
    tail = read_range(path, end, size - end)
    close = tail.index(b"]") + 1
    members = _read_rest(_OPENED + tail[close:], end + close - len(_OPENED))
    if "features" in members:
        raise PermanentError(
            'The file has two members "features", of which a reader of JSON would take the last one alone.',
            remediation="Write all features into one of them, and upload the file again.",
            code="source_unreadable",
        )
    return members


def check_collection(members: dict[str, bytes]) -> None:
    """Check that an object with a list of features is a FeatureCollection. Raises PermanentError."""
    kind = members.get("type", b"")
    if kind == b'"FeatureCollection"' or (kind and read_json(kind) == "FeatureCollection"):
        return
    if {"geometryType", "fieldAliases", "spatialReference"} & set(members):
        raise PermanentError(
            "The file is JSON of ArcGIS (Esri JSON), and not GeoJSON.",
            remediation='Export it as GeoJSON (in a query of an ArcGIS server, "f=geojson"), and upload that.',
            code="source_unreadable",
        )
    shown = f'its "type" is {clip(kind.decode(errors="replace"), 60)}' if kind else 'it has no "type"'
    raise PermanentError(
        f'The file has a list "features", but is not a FeatureCollection: {shown}.',
        remediation='Write "type": "FeatureCollection" into its outermost object, and upload it again.',
        code="source_unreadable",
    )


def check_single(text: bytes) -> None:
    """Check that the only object of a file is a Feature or a geometry. Raises PermanentError, NotJson."""
    value = read_json(text)
    kind = value.get("type") if isinstance(value, dict) else None
    if kind == "Feature" or is_geometry(value):
        return
    what = "TopoJSON, and not GeoJSON" if kind == "Topology" else "JSON, but not GeoJSON"
    raise PermanentError(
        f"The file is {what}: its outermost object is not a FeatureCollection, a Feature or a geometry.",
        remediation="Write it as GeoJSON, for instance with ogr2ogr or QGIS, and upload that.",
        code="source_unreadable",
    )


def not_json(place: int, words: str) -> PermanentError:
    """Make the error for bytes that are not JSON; `place` counts them from the beginning of the file."""
    return PermanentError(
        f"The file cannot be read as JSON at byte {place}: {words}.", remediation=_REMEDY, code="source_unreadable"
    )


def _find_array(path: Path, begin: int, check: Callable[[], None]) -> tuple[int | None, int | None]:
    """Return where the elements of `features` begin, and, without such an array, where the first object ends."""
    scanner, tail, start = Scanner(), b"", begin
    with path.open("rb") as file:
        file.seek(begin)
        while block := file.read(_BLOCK):
            check()
            places, marks, depths = scanner.feed(block)
            # Offsets are those of the file; a byte that the scanner held back belongs to the block before.
            known = tail + block
            base = start - len(tail) - begin
            for place in places[(marks == OPEN) & (depths == 2)].tolist():
                if _FEATURES.search(known[max(0, place - base - _BEFORE) : place - base]):
                    return begin + place + 1, None
            closed = np.flatnonzero(depths <= 0)
            if len(closed):
                return None, begin + int(places[closed[0]]) + 1
            tail, start = known[-2 * _BEFORE :], start + len(block)
            if start - begin > _LARGEST_REST and scanner.depth == 1:
                raise _too_large()
    return None, None


def _is_blank(path: Path, begin: int) -> bool:
    with path.open("rb") as file:
        file.seek(begin)
        while block := file.read(_BLOCK):
            if block.strip(_SPACES):
                return False
    return True


def _read_rest(text: bytes, offset: int) -> dict[str, bytes]:
    try:
        return {name: bytes(value) for name, value in read_members(text).items()}
    except NotJson as exc:
        raise not_json(max(0, offset + exc.place), exc.words) from exc
    except msgspec.DecodeError as exc:
        raise not_json(max(0, offset), str(exc)) from exc


def _too_large() -> PermanentError:
    return PermanentError(
        f"The file has more than {_LARGEST_REST // 2**20} MB beside its features.",
        remediation="Leave out what is not a feature, and upload the file again.",
        code="source_unreadable",
    )


def read_range(path: Path, begin: int, size: int) -> bytes:
    """Return bytes of a file; fewer than `size` where it ends."""
    with path.open("rb") as file:
        return os.pread(file.fileno(), size, begin)
