"""The formats that are taken: by extension, with the driver that reads each and the way its chunks travel."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

HEAD_BYTES = 4096
"""How much of a file `looks_right` wants to see."""

_SQLITE = b"SQLite format 3\x00"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Format:
    """A file format."""

    name: str
    driver: str
    """GDAL's short name."""
    extensions: tuple[str, ...]
    travel: Literal["rows", "blob"]
    """rows: a task reads its rows from the source itself, which each instance fetches once. blob: the format can only
    be read from the front, so preprocess writes each chunk to the work container."""


GEOPACKAGE = Format("GeoPackage", "GPKG", (".gpkg",), "rows")
SHAPEFILE = Format("zipped shapefile", "ESRI Shapefile", (".zip",), "rows")
GEOJSON = Format("GeoJSON", "GeoJSON", (".geojson", ".json"), "blob")

FORMATS = (GEOPACKAGE, SHAPEFILE, GEOJSON)
EXTENSIONS = tuple(extension for known in FORMATS for extension in known.extensions)


def format_of(blob: str) -> Format | None:
    """Give the format of a blob by its extension, in any case; None when it is none of ours."""
    suffix = PurePosixPath(blob).suffix.lower()
    return next((known for known in FORMATS if suffix in known.extensions), None)


def looks_right(known: Format, head: bytes) -> bool:
    """Tell whether a file's first bytes are those of its format, before GDAL gets to see it."""
    if known is GEOPACKAGE:
        return head.startswith(_SQLITE)
    if known is SHAPEFILE:
        return head.startswith(_ZIP)
    return head.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(b"{")
