"""GeoJSONSeq, one feature a line: the lines are counted, because GDAL passes over those that it cannot read."""

from __future__ import annotations

from pathlib import Path

from schema.errors import PermanentError
from services.vector.readers.geojson.features import type_of
from services.vector.row_count import RowCount

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


def count_rows(path: Path, rows: int) -> tuple[RowCount, ...]:
    """Count the lines that are not blank, or the texts between separators.

    Raises PermanentError for a line that is a FeatureCollection.
    """
    lines, first_lost = _count_lines(path), ""
    if rows != lines:
        with path.open("rb") as file:
            stripped = ((number, line.strip(_AROUND)) for number, line in enumerate(file, start=1))
            wrong = next((number for number, line in stripped if line and type_of(line) not in _TYPES), None)
        first_lost = f"line {wrong} is not a Feature" if wrong else ""
    return (RowCount(lines, "its lines", first_lost=first_lost, remediation=_REMEDY),)


def _count_lines(path: Path) -> int:
    lines = 0
    with path.open("rb") as file:
        separated = file.read(1) == _SEPARATOR
        file.seek(0)
        for number, line in enumerate(file, start=1):
            lines += line.count(_SEPARATOR) if separated else bool(line.strip())
            # GDAL makes many rows of such a line: they would hide in the sum what other lines have lost.
            if _COLLECTION in line and type_of(line.strip(_AROUND)) == "FeatureCollection":
                raise PermanentError(
                    f"Line {number} of the file is a FeatureCollection.",
                    remediation="Write one Feature on each line, or name the file .geojson if it is one collection, "
                    "and upload it again.",
                    code="source_unreadable",
                )
    return lines
