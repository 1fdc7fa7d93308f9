"""Items as GeoParquet 1.1: geometry as WKB, bounds as a covering for filters.

https://geoparquet.org/releases/v1.1.0
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from schema.jobs import Json

# Readers skip row groups by their statistics, so smaller groups mean less to read; each costs a little overhead.
GROUP_ROWS = 5_000
GROUP_BYTES = 16_000_000
"""A row group ends at either."""
BOUNDS = ("xmin", "ymin", "xmax", "ymax")
_TIME = pa.timestamp("us", tz="UTC")
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("collection", pa.string()),
        ("datetime", _TIME),
        ("end_datetime", _TIME),
        ("crs", pa.string()),
        ("bbox", pa.struct([(name, pa.float64()) for name in BOUNDS])),
        ("item", pa.string()),
        ("geometry", pa.binary()),
    ]
)
"""What is searched by has columns; `item` holds the item without its geometry, as JSON text.

stac-geoparquet makes a column of every property. All of them would have to be known before the first row is written,
which takes a second pass or all items in memory.
"""
_GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {
        "geometry": {
            "encoding": "WKB",
            "geometry_types": [],
            "covering": {"bbox": {name: ["bbox", name] for name in BOUNDS}},
        }
    },
}


class ParquetFile:
    """A file that is written row group by row group, so that memory does not grow with the number of items."""

    def __init__(self, path: Path) -> None:
        schema = SCHEMA.with_metadata({"geo": json.dumps(_GEO)})
        self._writer = pq.ParquetWriter(path, schema, compression="zstd")
        self._rows: list[Json] = []
        self._bytes = 0

    def add(self, row: Json) -> None:
        """Write an item: a row of repositories.catalog.items.export."""
        line = parquet_row(row)
        self._rows.append(line)
        self._bytes += len(line["item"]) + len(line["geometry"])
        if len(self._rows) >= GROUP_ROWS or self._bytes >= GROUP_BYTES:
            self._flush()

    def close(self) -> None:
        """Write what is left, and the end of the file."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, schema=SCHEMA))
        self._rows, self._bytes = [], 0


def parquet_row(row: Json) -> Json:
    """Return an item as a row of SCHEMA."""
    item = row["item"]
    return {
        "id": item["id"],
        "collection": item["collection"],
        "datetime": row["starts_at"],
        "end_datetime": row["ends_at"],
        "crs": crs_of(item),
        "bbox": {name: row[name] for name in BOUNDS},
        "item": text_of({key: value for key, value in item.items() if key != "geometry"}),
        "geometry": bytes(row["wkb"]),
    }


def crs_of(item: Json) -> str | None:
    """Return the code of an item's CRS: its own, else that of the first asset that has one."""
    parts = [item.get("properties"), *(item.get("assets") or {}).values()]
    for part in parts:
        # Version 2 of the projection extension has proj:code, version 1 had proj:epsg.
        if isinstance(part, dict) and part.get("proj:code"):
            return str(part["proj:code"])
        if isinstance(part, dict) and part.get("proj:epsg"):
            return f"EPSG:{part['proj:epsg']}"
    return None


def text_of(value: Any) -> str:
    """Return a value as JSON text, not limited to ASCII."""
    return json.dumps(value, ensure_ascii=False)
