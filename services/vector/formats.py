"""The supported formats: their extensions, how each is read, and how its chunks come to the tasks that load them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Literal

HEAD_BYTES = 4096
"""How much of a file `looks_right` needs."""

_SQLITE = b"SQLite format 3\x00"
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_SHAPES = b"\x00\x00\x27\x0a"
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
# Of GeoJSONSeq as RFC 8142 has it.
_RECORD_SEPARATOR = b"\x1e"
# Control characters that texts do not have, in whatever encoding.
_NOT_TEXT = frozenset(range(9)) | {11, *range(14, 27), 28, 29}


@dataclass(frozen=True)
class Format:
    """A file format, and how it is read."""

    name: str
    driver: str | None
    """GDAL's short name; None for what is read without GDAL."""
    extensions: tuple[str, ...]
    chunking: Literal["row_range", "blob"]
    """How the rows of a chunk come to the task that loads them.

    row_range: the task reads them from the source itself, which each instance fetches once.
    blob: the format can only be read from the front, so preprocess writes each chunk to the work container.
    """


GEOPACKAGE = Format("GeoPackage", "GPKG", (".gpkg",), "row_range")
SHAPEFILE = Format("shapefile", "ESRI Shapefile", (".shp",), "row_range")
# GDAL finds a row of FlatGeobuf by reading all before it: of 1,000,000 polygons the last 10,000 took 1.1 s to reach,
# and all chunks together 46 s of CPU time, where chunk blobs cost 2 s and twice the transfer.
FLATGEOBUF = Format("FlatGeobuf", "FlatGeobuf", (".fgb",), "blob")
PARQUET = Format("GeoParquet", None, (".parquet", ".geoparquet"), "row_range")
GEOJSON = Format("GeoJSON", None, (".geojson", ".json"), "row_range")
GEOJSONSEQ = Format("GeoJSON lines", None, (".geojsonl", ".ndjson"), "row_range")
KML = Format("KML", None, (".kml",), "blob")
CSV = Format("CSV", None, (".csv",), "row_range")
TSV = Format("TSV", None, (".tsv",), "row_range")
KMZ = Format("KMZ", None, (".kmz",), "blob")
ZIP = Format("zip archive", None, (".zip",), "blob")

FORMATS = (ZIP, SHAPEFILE, GEOPACKAGE, GEOJSON, GEOJSONSEQ, KML, KMZ, CSV, TSV, FLATGEOBUF, PARQUET)
EXTENSIONS = tuple(extension for known in FORMATS for extension in known.extensions)

# One format is loaded and not all, because a CSV or KML beside a shapefile mostly explains it.
INSIDE_ARCHIVES = (SHAPEFILE, GEOPACKAGE, FLATGEOBUF, PARQUET, GEOJSON, GEOJSONSEQ, KML, CSV, TSV)
"""Formats in zip archives: files of the first that is found are loaded, and others are not."""
ARCHIVES = (".zip", ".kmz", ".7z", ".rar", ".gz", ".tgz", ".tar", ".bz2", ".xz")


def format_of(blob: str) -> Format | None:
    """Return the format of a blob by its extension, in upper or lower case; None when it is not supported."""
    suffix = PurePosixPath(blob).suffix.lower()
    return next((known for known in FORMATS if suffix in known.extensions), None)


def looks_right(known: Format, head: bytes) -> bool:
    """Whether a file's first bytes fit its format. Checked before any reader sees the file."""
    if known in (ZIP, KMZ):
        return head.startswith(_ZIP)
    magic = {GEOPACKAGE: _SQLITE, SHAPEFILE: _SHAPES, FLATGEOBUF: b"fgb\x03fgb", PARQUET: b"PAR1"}.get(known)
    if magic:
        return head.startswith(magic)
    text = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if known is KML:
        return text.startswith(b"<")
    if known in (CSV, TSV):
        # Everything without such bytes is text; GeoJSON and XML would only make rows without coordinates.
        return head.startswith(_UTF16) or not (_NOT_TEXT & set(head) or text.startswith((b"{", b"<?xml", b"<OGRVRT")))
    return text.removeprefix(_RECORD_SEPARATOR).startswith(b"{")
