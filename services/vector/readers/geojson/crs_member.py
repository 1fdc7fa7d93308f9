"""The crs member of a GeoJSON file: GDAL takes one that it does not know for longitude and latitude."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyproj
from pyproj.exceptions import CRSError

from schema.errors import PermanentError
from schema.words import clip

_EDGE = 2**16
"""The member stands before the features or after them: this much of either end is searched."""
_MEMBER = re.compile(r'"crs"\s*:\s*(?=\{)')
_DEGREES = ("CRS84", "4326")
"""Parts of names that mean longitude and latitude, however they are written."""


def check_known(path: Path) -> None:
    """Check that the CRS which a file names, if it does, is one that is known. Raises PermanentError."""
    name = find_name(path)
    if name is None or any(part in name for part in _DEGREES):
        return
    try:
        pyproj.CRS.from_user_input(name)
    except CRSError as exc:
        raise PermanentError(
            f"The file's coordinate reference system {clip(name, 200)!r} is not known.",
            remediation='Name the CRS with "source_crs", such as "EPSG:25832", or correct the file\'s member "crs".',
            code="crs_unknown",
        ) from exc


def find_name(path: Path) -> str | None:
    """Give the name, or the link, in the crs member; None when there is none."""
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


def _name_in(text: str) -> str | None:
    try:
        member: Any = json.JSONDecoder().raw_decode(text)[0]
    except (ValueError, RecursionError):
        return None
    properties = member.get("properties")
    if member.get("type") not in ("name", "link") or not isinstance(properties, dict):
        return None
    name = properties.get("name", properties.get("href"))
    return name if isinstance(name, str) else None
