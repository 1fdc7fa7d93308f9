"""GeoJSON as tests write and read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from services.vector.read_options import ReadOptions
from services.vector.readers.geojson.layer import open_geojson
from services.vector.readers.source_layer import SourceLayer


@dataclass(frozen=True)
class Read:
    """A whole layer."""

    layer: SourceLayer
    rows: list[tuple[bytes | None, tuple[Any, ...]]]
    """WKB and values of each row."""
    faults: dict[int, str]
    """Reasons by row, from 0."""

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.layer.fields]

    @property
    def types(self) -> dict[str, str]:
        kinds: dict[str, str] = self.layer.reading["column_types"]
        return kinds

    def column(self, name: str) -> list[Any]:
        place = self.names.index(name)
        return [values[place] for _, values in self.rows]


def read(path: Path, data: bytes | None = None, *, source_crs: str | None = None) -> Read:
    """Read a file, after its bytes have been written to it."""
    if data is not None:
        path.write_bytes(data)
    rows: list[tuple[bytes | None, tuple[Any, ...]]] = []
    faults: dict[int, str] = {}
    options = ReadOptions(source_crs=source_crs)
    by_lines = path.suffix in (".geojsonl", ".ndjson")
    with open_geojson(path, "a", options, lambda: None, by_lines=by_lines) as (layer, batches):
        for batch in batches:
            columns = [column.to_pylist() for column in batch.attributes.columns]
            values = zip(*columns, strict=True) if columns else [()] * len(batch.fids)
            if batch.faults is not None:
                found = enumerate(batch.faults.to_pylist(), start=len(rows))
                faults |= {row: fault["reason"] for row, fault in found if fault}
            rows += zip(batch.geometry.to_pylist(), values, strict=True)
    return Read(layer, rows, faults)
