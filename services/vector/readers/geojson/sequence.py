"""GeoJSON, a feature a line: the lines are counted, because GDAL passes over those that it cannot read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from schema.errors import PermanentError
from services.vector.readers.source_layer import SourceBatch

_SEPARATOR = b"\x1e"
_TYPES = (
    *("Feature", "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"),
    "GeometryCollection",
)


_COLLECTION = b'"FeatureCollection"'
_REMEDY = "Correct or complete the file: each line is one GeoJSON Feature. Upload it anew."


def counted(path: Path, batches: Iterator[SourceBatch]) -> Iterator[SourceBatch]:
    """Give the batches, and check at their end that each line became a row. Raises PermanentError naming the line."""
    rows = 0
    for batch in batches:
        rows += len(batch.fids)
        yield batch
    expected = _count(path)
    if rows != expected:
        raise _unreadable(f"The file has {expected} lines with features, but {rows} were read{_first_wrong(path)}.")


def _count(path: Path) -> int:
    """Count the lines, and refuse one of many features: lines that are lost would not show in the sum."""
    lines = 0
    with path.open("rb") as file:
        separated = file.read(1) == _SEPARATOR
        file.seek(0)
        for number, line in enumerate(file, start=1):
            lines += line.count(_SEPARATOR) if separated else bool(line.strip())
            if _COLLECTION in line and _type_of(line) == "FeatureCollection":
                raise _unreadable(
                    f"Line {number} of the file is a FeatureCollection.",
                    "Write one Feature a line, or give the file the extension .geojson if it is one collection. "
                    "Upload it anew.",
                )
    return lines


def _first_wrong(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip(_SEPARATOR + b" \r\n") and _type_of(line) not in _TYPES:
                return f"; the first that is no Feature is line {number}"
    return ""


def _type_of(line: bytes) -> object:
    """Give the type of the object that a line holds; None when it holds none."""
    try:
        value = json.loads(line.strip(_SEPARATOR + b" \r\n"))
    except (ValueError, RecursionError):
        return None
    return value.get("type") if isinstance(value, dict) else None


def _unreadable(message: str, remedy: str = _REMEDY) -> PermanentError:
    return PermanentError(message, remediation=remedy, code="source_unreadable")
