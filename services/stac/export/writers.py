"""Writers: a file of items in one format, written row by row. Each is a context manager over a path.

A row is one of repositories.catalog.items.export: `item`, the whole STAC item; `starts_at` and `ends_at`, its
datetimes; `wkb`, its geometry; xmin to ymax, its bounds.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from schema.jobs import Json
from services.stac.export.geoparquet import BOUNDS, ParquetFile, crs_of, text_of

_TEXTS = ("id", "collection", "title", "datetime", "start_datetime", "end_datetime", "crs")
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
CSV_COLUMNS = (*_TEXTS, *BOUNDS, "asset_count", "asset", "asset_href", "asset_type", "asset_bytes")


class Writer:
    """Counts what it writes; a subclass says how."""

    extension: ClassVar[str]
    media_type: ClassVar[str]
    count = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    def collection(self, collection: Json) -> None:
        """Write a collection, before any item; formats that hold features only leave it out."""

    def begin_items(self) -> None:
        """End the collections; only items follow."""

    def item(self, row: Json) -> None:
        """Write an item."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""


class GeoJsonWriter(Writer):
    """A FeatureCollection of the items as they are: an item is a GeoJSON feature."""

    extension = "geojson"
    media_type = "application/geo+json"
    # The brackets are written by hand, item by item: a document as one object would hold all items in memory.
    _opening = '{"type": "FeatureCollection", "features": ['

    def __enter__(self) -> Self:
        self._file = self._path.open("w", encoding="utf-8")
        self._file.write(self._opening)
        return self

    def item(self, row: Json) -> None:
        self._file.write(",\n" if self.count else "\n")
        self._file.write(text_of(row["item"]))
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            self._file.write("\n]}\n")


class JsonWriter(GeoJsonWriter):
    """Whole records of collections and items."""

    extension = "json"
    media_type = "application/json"
    _opening = '{"collections": ['
    _collections = 0

    def collection(self, collection: Json) -> None:
        self._file.write(",\n" if self._collections else "\n")
        self._file.write(text_of(collection))
        self._collections += 1

    def begin_items(self) -> None:
        self._file.write('\n], "items": [')


class CsvWriter(Writer):
    """One line for each item, with its bounds and the asset that holds its data; UTF-8, safe for spreadsheets."""

    extension = "csv"
    media_type = "text/csv; charset=utf-8"

    def __enter__(self) -> Self:
        # The csv module ends its lines itself; Python would turn each end into a second one on Windows.
        self._file = self._path.open("w", encoding="utf-8", newline="")
        self._lines = csv.DictWriter(self._file, CSV_COLUMNS)
        self._lines.writeheader()
        return self

    def item(self, row: Json) -> None:
        self._lines.writerow({name: as_text(value) for name, value in csv_line(row).items()})
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


class ParquetWriter(Writer):
    """GeoParquet, with the columns of services.stac.export.geoparquet."""

    extension = "parquet"
    media_type = "application/vnd.apache.parquet"

    def __enter__(self) -> Self:
        self._file = ParquetFile(self._path)
        return self

    def item(self, row: Json) -> None:
        self._file.add(row)
        self.count += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def csv_line(row: Json) -> Json:
    """Return an item as one line of CSV_COLUMNS."""
    item = row["item"]
    properties = item.get("properties") or {}
    assets = item.get("assets") or {}
    key = data_asset(assets)
    asset = assets.get(key) or {}
    return {
        "id": item["id"],
        "collection": item["collection"],
        **{name: properties.get(name) for name in _TEXTS[2:-1]},
        "crs": crs_of(item),
        **{name: row[name] for name in BOUNDS},
        "asset_count": len(assets),
        "asset": key,
        "asset_href": asset.get("href"),
        "asset_type": asset.get("type"),
        "asset_bytes": asset.get("file:size"),
    }


def as_text(value: Any) -> Any:
    """Return a value with an apostrophe before it if it is text that a spreadsheet would take for a formula."""
    # Ids, titles and links come from anybody, and a formula may fetch or send what its reader can see:
    # https://owasp.org/www-community/attacks/CSV_Injection. Who needs them to the letter reads the other formats.
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def data_asset(assets: Mapping[str, Any]) -> str | None:
    """Return the key of the asset that holds the data: the first with that role, else the first of all."""
    data = (key for key, asset in assets.items() if isinstance(asset, dict) and "data" in (asset.get("roles") or ()))
    return next(data, next(iter(assets), None))


WRITERS: Mapping[str, type[Writer]] = {
    "json": JsonWriter,
    "geojson": GeoJsonWriter,
    "csv": CsvWriter,
    "parquet": ParquetWriter,
}
