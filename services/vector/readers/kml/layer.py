"""The placemarks of a KML document as a layer: types of columns are found as those of CSV files are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from schema.clipping import clip, listed
from schema.errors import PermanentError
from services.vector.geometry import wkb
from services.vector.read_options import ALL_LAYERS, ReadOptions
from services.vector.readers.csv import types as csv_types
from services.vector.readers.csv.types import ColumnType, ColumnTyper
from services.vector.readers.kml.elements import LAYER, Placemark, read_placemarks
from services.vector.readers.source_layer import FAULT_TYPE, SourceBatch, SourceLayer

BATCH_ROWS = 1_000
MAX_COLUMNS = 10_000
MAX_RAW = 10_000
"""Characters of a faulty placemark that are kept."""
_WGS84 = "EPSG:4326"


@contextmanager
def open_placemarks(
    path: Path, name: str, read_options: ReadOptions, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a KML document for one pass over its placemarks, of all folders or of the one in `read_options.layer`.

    Raises
    ------
    PermanentError
        The XML is not well-formed, there is no such folder, or there are more than MAX_COLUMNS names of data.
    """
    folders, typers = _find_columns(path, read_options, check)
    types: dict[str, ColumnType] = {LAYER: "text", **{column: typer.column_type for column, typer in typers.items()}}
    fields = tuple((column, csv_types.ARROW_TYPES[kind]) for column, kind in types.items())
    notes = csv_types.describe(typers, typers.values(), list(types.values())[1:])
    reading = {"folders": folders[:100], **notes, "column_types": {LAYER: "text", **notes["column_types"]}}
    decisive = ("", *(typer.because for typer in typers.values()))
    layer = SourceLayer(name, read_options.source_crs or _WGS84, fields, None, reading, decisive=decisive)
    yield layer, _batches(_chosen(read_placemarks(path, check), read_options), types)


def _find_columns(
    path: Path, read_options: ReadOptions, check: Callable[[], None]
) -> tuple[list[str], dict[str, ColumnTyper]]:
    """Read the whole document; return its folders, and what its columns hold by their names."""
    folders: dict[str, None] = {}
    rows = 0
    typers: dict[str, ColumnTyper] = {}
    for batch in _in_batches(read_placemarks(path, check, geometries=False)):
        folders |= dict.fromkeys(mark.layer for mark in batch)
        chosen = list(_chosen(iter(batch), read_options))
        for column in dict.fromkeys(key for mark in chosen for key in mark.values):
            # As in a CSV with commas, "1,234" alone may be a thousand.
            typer = typers.setdefault(column, ColumnTyper(comma_delimited=True))
            typer.add(pa.array([mark.values.get(column) for mark in chosen], pa.string()), rows + 1)
        rows += len(chosen)
        if len(typers) > MAX_COLUMNS:
            raise PermanentError(
                f"The placemarks have data under more than {MAX_COLUMNS} different names.",
                remediation="Export the data to a format with a fixed set of columns, such as GeoPackage.",
                code="too_many_columns",
            )
    if read_options.layer is not None and read_options.layer not in (ALL_LAYERS, *folders):
        raise PermanentError(
            f"The file has no folder {clip(read_options.layer)!r}. Its folders are: {listed(folders)}.",
            remediation='Choose one of them with "layer", or leave "layer" out to load all of them.',
            code="layer_missing",
        )
    return list(folders), typers


def _chosen(marks: Iterator[Placemark], read_options: ReadOptions) -> Iterator[Placemark]:
    every = read_options.layer in (None, ALL_LAYERS)
    for mark in marks:
        if every or mark.layer == read_options.layer:
            # The folder is a column too; data of that name are renamed.
            if LAYER in mark.values:
                mark.values[f"{LAYER}_data"] = mark.values.pop(LAYER)
            yield mark


def _in_batches(marks: Iterator[Placemark]) -> Iterator[list[Placemark]]:
    while batch := list(islice(marks, BATCH_ROWS)):
        yield batch


def _batches(marks: Iterator[Placemark], types: dict[str, ColumnType]) -> Iterator[SourceBatch]:
    first = 0
    for batch in _in_batches(marks):
        texts = [pa.array([mark.layer for mark in batch], pa.string())]
        texts += [pa.array([mark.values.get(column) for mark in batch], pa.string()) for column in list(types)[1:]]
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
