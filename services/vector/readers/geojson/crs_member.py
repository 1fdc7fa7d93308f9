"""The crs member of a GeoJSON file: which names GDAL understands, and that none is asked of a server.

GDAL takes a name that it does not know for longitude and latitude, and fetches a member of type link or url, wherever
in the file it stands. Format: https://geojson.org/geojson-spec.html#coordinate-reference-system-objects, of 2008.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyproj
from pyproj.exceptions import CRSError

from schema.clipping import clip
from schema.errors import PermanentError
from services.references import external_reference

_EDGE = 2**16
"""The member stands before the features or after them: this much of either end is searched for its name."""
_MEMBER = re.compile(r'"crs"\s*:\s*(?=\{)', re.IGNORECASE)
_DEGREES = frozenset(
    name.lower()
    for name in (
        *("CRS84", "OGC:CRS84", "CRS:84", "WGS84", "WGS 84"),
        *("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "urn:ogc:def:crs:OGC:1.3:CRS:84"),
        *("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "https://www.opengis.net/def/crs/OGC/1.3/CRS84"),
        *("urn:ogc:def:crs:OGC::CRS84h", "http://www.opengis.net/def/crs/OGC/0/CRS84h"),
    )
)
"""Names of longitude and latitude on WGS 84."""
_CODE = re.compile(
    r"(?:(?P<short>[A-Za-z]+):|urn:(?:x-)?ogc:def:crs:(?P<urn>[A-Za-z]+):[0-9.]*:?"
    r"|https?://www\.opengis\.net/def/crs/(?P<url>[A-Za-z]+)/[0-9.]+/)(?P<code>[0-9]{4,6})",
    re.IGNORECASE,
)
"""An authority's code as GDAL reads it, a compound CRS left out."""

_BLOCK = 2**22
_QUOTE = rb"[\"']"
_KEY = re.compile(_QUOTE + rb"(?:c|\\u00[46]3)(?:r|\\u00[57]2)(?:s|\\u00[57]3)(?:" + _QUOTE + rb"|(?P<nul>\\u0000))")
"""The key, in text in lower case, as GDAL's readers of JSON take it: in any case, escaped, in either kind of quotes, or
ended by a NUL."""
_SPOTS = (re.compile(rb"crs"), re.compile(rb"\\u00(?:[46]3|[57][23])"))
"""One of them is in every such key. With literals in front they go through 3 GB a second, the key through 0.1."""
_LONGEST_KEY = 32
_USUAL_BYTES = 512
_LINKS = ("link", "url")


def check_known(path: Path) -> None:
    """Check that the CRS which a file names, if it does, is one that is known. Raises PermanentError."""
    name = find_name(path)
    if name is None or name.lower() in _DEGREES or _is_code(name):
        return
    raise PermanentError(
        f"The file's coordinate reference system {clip(name, 200)!r} is not known.",
        remediation='Name the CRS with "source_crs", such as "EPSG:25832", or correct the file\'s member "crs".',
        code="crs_unknown",
    )


def check_links(path: Path, check: Callable[[], None]) -> None:
    """Check that no crs member of a file, at its top or in a geometry, is one that GDAL would fetch.

    Raises
    ------
    PermanentError
        It is of type link or url, or cannot be read as JSON.
    """
    with path.open("rb") as file:
        for place, odd in _keys(path, check):
            if odd or _is_link(file.fileno(), place):
                raise external_reference(
                    f'The member "crs" at byte {place} is of type link or url, or cannot be read; what a file refers '
                    "to is not fetched.",
                    'Write the name of the CRS instead, such as {"type": "name", "properties": {"name": '
                    '"urn:ogc:def:crs:EPSG::25832"}}, or leave the member out and submit the file with "source_crs".',
                )


def find_name(path: Path) -> str | None:
    """Return the name in the crs member; None when there is none. A code stands in it as EPSG:<code>."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_EDGE)
        file.seek(max(0, size - _EDGE))
        tail = file.read()
    for edge in (head, tail):
        text = edge.decode(errors="replace")
        for found in _MEMBER.finditer(text):
            name = _name_in(text[found.end() :])
            if name is not None:
                return name
    return None


def _is_code(name: str) -> bool:
    found = _CODE.fullmatch(name)
    if not found:
        return False
    authority = found["short"] or found["urn"] or found["url"]
    try:
        pyproj.CRS.from_authority(authority.upper(), found["code"])
    except CRSError:
        return False
    return True


def _name_in(text: str) -> str | None:
    try:
        member: Any = json.JSONDecoder(object_hook=_lower).raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None
    kind, properties = str(member.get("type")).lower(), member.get("properties")
    if not isinstance(properties, dict):
        return None
    # GDAL looks at the first letters alone.
    if kind.startswith("epsg"):
        return f"EPSG:{properties.get('code')}"
    name = properties.get("urn" if kind.startswith("ogc") else "name")
    return name if kind.startswith(("name", "ogc")) and isinstance(name, str) else None


def _lower(member: dict[str, Any]) -> dict[str, Any]:
    return {key.lower(): value for key, value in member.items()}


def _keys(path: Path, check: Callable[[], None]) -> Iterator[tuple[int, bool]]:
    """Return where each key "crs" of a file ends, at whatever depth, and whether a NUL ends it."""
    start, tail = 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            check()
            data = (tail + block).lower()
            if any(spot.search(data) for spot in _SPOTS):
                yield from ((start + found.end(), found["nul"] is not None) for found in _KEY.finditer(data))
            start, tail = start + len(data) - len(data[-_LONGEST_KEY:]), data[-_LONGEST_KEY:]


def _is_link(file: int, place: int) -> bool:
    """Whether what stands behind a key is a member that GDAL may fetch, or too strange to tell."""
    for length in (_USUAL_BYTES, _EDGE):
        text = os.pread(file, length, place)
        colon = text.lstrip()
        value = colon[1:].lstrip() if colon.startswith(b":") else b""
        # GDAL passes over comments, which JSON does not have.
        if colon.startswith(b"/") or value.startswith(b"/"):
            return True
        if not value and len(text) < length:
            return False
        if (colon and not colon.startswith(b":")) or (value and not value.startswith(b"{")):
            return False
        try:
            member = json.JSONDecoder(object_pairs_hook=list).raw_decode(value.decode(errors="replace"))[0]
        except (ValueError, RecursionError):
            continue
        return any(key.partition("\0")[0].lower() == "type" and _names_link(kind) for key, kind in member)
    return True


def _names_link(kind: object) -> bool:
    return isinstance(kind, str) and kind.lower().startswith(_LINKS)
