"""GeoJSONSeq, one feature a line: the lines are counted, because GDAL passes over those that it cannot read."""

from __future__ import annotations

from pathlib import Path

from schema.errors import PermanentError
from services.vector.readers.geojson.features import type_of

# RFC 8142 puts it before each text; most files have line breaks alone.
_SEPARATOR = b"\x1e"
_AROUND = _SEPARATOR + b" \r\n"
# GDAL makes a row of a bare geometry too.
_TYPES = (
    *("Feature", "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon"),
    "GeometryCollection",
)
_COLLECTION = b'"FeatureCollection"'
_REMEDY = "Correct or complete the file, so that each line is one GeoJSON Feature, and upload it again."


def check_count(path: Path, rows: int) -> None:
    """Check that each line became a row. Raises PermanentError naming the first line that did not."""
    lines = _count_lines(path)
    if rows == lines:
        return
    with path.open("rb") as file:
        stripped = ((number, line.strip(_AROUND)) for number, line in enumerate(file, start=1))
        wrong = next((number for number, line in stripped if line and type_of(line) not in _TYPES), None)
    where = f"; the first one that is not a Feature is line {wrong}" if wrong else ""
    raise _unreadable(f"The file has {lines} lines with features, but only {rows} of them can be read{where}.")


def _count_lines(path: Path) -> int:
    lines = 0
    with path.open("rb") as file:
        separated = file.read(1) == _SEPARATOR
        file.seek(0)
        for number, line in enumerate(file, start=1):
            lines += line.count(_SEPARATOR) if separated else bool(line.strip())
            # GDAL makes many rows of such a line: they would hide in the sum what other lines have lost.
            if _COLLECTION in line and type_of(line.strip(_AROUND)) == "FeatureCollection":
                raise _unreadable(
                    f"Line {number} of the file is a FeatureCollection.",
                    "Write one Feature on each line, or name the file .geojson if it is one collection, and upload it "
                    "again.",
                )
    return lines


def _unreadable(message: str, remedy: str = _REMEDY) -> PermanentError:
    return PermanentError(message, remediation=remedy, code="source_unreadable")
