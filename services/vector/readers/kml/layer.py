"""The placemarks of a KML document as a layer: types of columns are found as those of CSV files are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from schema.clipping import clip, listed
from schema.errors import PermanentError
from schema.jobs import Json
from services.references import external_reference
from services.vector.geometry import wkb
from services.vector.read_options import ALL_LAYERS, ReadOptions
from services.vector.readers.csv import types as csv_types
from services.vector.readers.csv.types import ColumnType, ColumnTyper
from services.vector.readers.kml.count import count_rows
from services.vector.readers.kml.elements import Placemark, read_placemarks, unused_name
from services.vector.readers.source_layer import FAULT_TYPE, SourceBatch, SourceLayer
from services.vector.row_count import no_counts

BATCH_ROWS = 1_000
MAX_COLUMNS = 10_000
MAX_RAW = 10_000
"""Characters of a faulty placemark that are kept."""
_LAYER, _ID = "layer", "id"
_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class _Columns:
    """What the first pass over a document found."""

    folders: list[str]
    typers: dict[str, ColumnTyper]
    """What the columns hold, by their names: the id if there are any, then the data. The folder comes before them."""
    id_column: str | None
    """The column of the placemarks' id attributes; None when no placemark has one."""
    links: list[str]

    @property
    def types(self) -> dict[str, ColumnType]:
        """Types of all columns."""
        return {_LAYER: "text", **{column: typer.column_type for column, typer in self.typers.items()}}


@contextmanager
def open_placemarks(
    path: Path, name: str, read_options: ReadOptions, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a KML document for one pass over its placemarks, of all folders or of the one in `read_options.layer`.

    Raises
    ------
    PermanentError
        The XML is not well-formed, there is no such folder, there are more than MAX_COLUMNS names of data, or the
        document has no placemarks of its own but only links to others.
    """
    found = _find_columns(path, read_options, check)
    types, typers = found.types, found.typers
    fields = tuple((column, csv_types.ARROW_TYPES[kind]) for column, kind in types.items())
    notes = csv_types.describe(typers, typers.values(), list(types.values())[1:])
    reading: Json = {"folders": found.folders[:100], **notes, "column_types": {_LAYER: "text", **notes["column_types"]}}
    if found.links:
        reading["links_not_followed"] = [_shown(link) for link in found.links]
    decisive = ("", *(typer.because for typer in typers.values()))
    counter = partial(count_rows, path) if read_options.layer in (None, ALL_LAYERS) else no_counts
    crs = read_options.source_crs or _WGS84
    layer = SourceLayer(name, crs, fields, None, reading, decisive=decisive, count_rows=counter)
    yield layer, _batches(_chosen(read_placemarks(path, check), read_options), types, found.id_column)


def _find_columns(path: Path, read_options: ReadOptions, check: Callable[[], None]) -> _Columns:
    """Read the whole document without its geometries."""
    folders: dict[str, None] = {}
    rows = 0
    typers: dict[str, ColumnTyper] = {}
    ids, has_ids, links = _new_typer(), False, list[str]()
    for batch in _in_batches(read_placemarks(path, check, geometries=False, links=links)):
        folders |= dict.fromkeys(mark.layer for mark in batch)
        chosen = list(_chosen(iter(batch), read_options))
        ids.add(pa.array([mark.id for mark in chosen], pa.string()), rows + 1)
        has_ids = has_ids or any(mark.id for mark in chosen)
        for column in dict.fromkeys(key for mark in chosen for key in mark.values):
            typer = typers.setdefault(column, _new_typer())
            typer.add(pa.array([mark.values.get(column) for mark in chosen], pa.string()), rows + 1)
        rows += len(chosen)
        if len(typers) > MAX_COLUMNS:
            raise PermanentError(
                f"The placemarks have data under more than {MAX_COLUMNS} different names.",
                remediation="Export the data to a format with a fixed set of columns, such as GeoPackage.",
                code="too_many_columns",
            )
    if links and not folders:
        raise _only_links(links)
    if read_options.layer is not None and read_options.layer not in (ALL_LAYERS, *folders):
        raise PermanentError(
            f"The file has no folder {clip(read_options.layer)!r}. Its folders are: {listed(folders)}.",
            remediation='Choose one of them with "layer", or leave "layer" out to load all of them.',
            code="layer_missing",
        )
    if not has_ids:
        return _Columns(list(folders), typers, None, links)
    # Data of that name keep it.
    id_column = unused_name(_ID if _ID not in typers else f"placemark_{_ID}", typers, Counter())
    return _Columns(list(folders), {id_column: ids, **typers}, id_column, links)


def _new_typer() -> ColumnTyper:
    # As in a CSV with commas, "1,234" alone may be a thousand.
    return ColumnTyper(comma_delimited=True)


def _only_links(links: list[str]) -> PermanentError:
    shown = listed((_shown(link) for link in links), 10)
    return external_reference(
        f"The KML has no placemarks of its own: it is a network link to {shown}, and links are not followed.",
        "Download what it links to, and upload that file.",
    )


def _shown(link: str) -> str:
    """Return an address without what may be a key or a signature: its user information and its query."""
    place = link.partition("?")[0]
    scheme, separator, rest = place.partition("://")
    return clip(f"{scheme}{separator}{rest.rpartition('@')[2]}" if separator else place)


def _chosen(marks: Iterator[Placemark], read_options: ReadOptions) -> Iterator[Placemark]:
    every = read_options.layer in (None, ALL_LAYERS)
    for mark in marks:
        if every or mark.layer == read_options.layer:
            # The folder is a column too; data of that name are renamed.
            if _LAYER in mark.values:
                text = mark.values.pop(_LAYER)
                mark.values[unused_name(f"{_LAYER}_data", mark.values, Counter())] = text
            yield mark


def _in_batches(marks: Iterator[Placemark]) -> Iterator[list[Placemark]]:
    while batch := list(islice(marks, BATCH_ROWS)):
        yield batch


def _batches(marks: Iterator[Placemark], types: dict[str, ColumnType], id_column: str | None) -> Iterator[SourceBatch]:
    first = 0
    for batch in _in_batches(marks):
        texts = [_texts(batch, column, id_column) for column in types]
        values = [csv_types.convert(text, kind) for text, kind in zip(texts, types.values(), strict=True)]
        attributes = pa.RecordBatch.from_arrays(values, names=list(types))
        geometry = pa.array([mark.geometry for mark in batch], pa.binary())
        faults = [
            {"reason": mark.fault, "raw": str({**mark.values, "coordinates": mark.text})[:MAX_RAW]}
            if mark.fault
            else None
            for mark in batch
        ]
        yield SourceBatch(
            fids=np.arange(first, first + len(batch)),
            attributes=attributes,
            geometry=geometry,
            type_codes=wkb.read_headers(geometry).type_codes,
            faults=pa.array(faults, FAULT_TYPE) if any(faults) else None,
        )
        first += len(batch)


def _texts(batch: list[Placemark], column: str, id_column: str | None) -> pa.Array:
    if column == _LAYER:
        texts: list[str | None] = [mark.layer for mark in batch]
    elif column == id_column:
        texts = [mark.id for mark in batch]
    else:
        texts = [mark.values.get(column) for mark in batch]
    return pa.array(texts, pa.string())
