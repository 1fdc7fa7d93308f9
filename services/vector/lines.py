"""GeoJSON, a feature a line: the lines are counted, because GDAL passes over those that it cannot read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from schema.errors import PermanentError
from services.vector.layer import SourceBatch

_SEPARATOR = b"\x1e"


def counted(path: Path, batches: Iterator[SourceBatch]) -> Iterator[SourceBatch]:
    """Give the batches, and check at their end that each line became a row. Raises PermanentError naming the line."""
    rows = 0
    for batch in batches:
        rows += len(batch.fids)
        yield batch
    with path.open("rb") as file:
        separated = file.read(1) == _SEPARATOR
        file.seek(0)
        expected = sum(line.count(_SEPARATOR) if separated else bool(line.strip()) for line in file)
    if rows != expected:
        raise PermanentError(
            f"The file has {expected} lines with features, but only {rows} can be read{_first_wrong(path)}.",
            remediation="Correct or complete the file: each line is one GeoJSON Feature. Upload it anew.",
            code="source_unreadable",
        )


def _first_wrong(path: Path) -> str:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                json.loads(line.strip(_SEPARATOR + b" \r\n") or b"{}")
            except ValueError:
                return f"; the first that is no JSON is line {number}"
    return ""
