"""The placemarks of a KML document as a layer: columns of text are judged as those of delimited text are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa

from schema.errors import PermanentError
from schema.words import clip, listed
from services.vector.geometry import wkb
from services.vector.read_options import ALL_LAYERS, ReadOptions
from services.vector.readers.csv import types as csv_types
from services.vector.readers.csv.types import Judge, Kind
from services.vector.readers.kml.elements import LAYER, Placemark, read_placemarks
from services.vector.readers.source_layer import FAULT_TYPE, SourceBatch, SourceLayer

BATCH_ROWS = 1_000
MAX_COLUMNS = 10_000
_WGS84 = "EPSG:4326"


@contextmanager
def open_placemarks(
    path: Path, name: str, read_options: ReadOptions, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a KML document for one pass over its placemarks, of all folders or of the one that the read_options name."""
    folders, kinds = _judge(path, read_options, check)
    fields = tuple((column, csv_types.ARROW_TYPES[kind]) for column, kind in kinds.items())
    reading = {"folders": folders[:100], "column_types": dict(kinds)}
    layer = SourceLayer(name, read_options.source_crs or _WGS84, fields, None, reading)
    yield layer, _batches(_chosen(read_placemarks(path, check), read_options), kinds)


def _judge(path: Path, read_options: ReadOptions, check: Callable[[], None]) -> tuple[list[str], dict[str, Kind]]:
    """Read the whole document for its folders, and for the columns and their types."""
    folders: dict[str, None] = {}
    judges: dict[str, Judge] = {}
    for batch in _in_batches(read_placemarks(path, check, geometries=False)):
        folders |= dict.fromkeys(mark.layer for mark in batch)
        chosen = list(_chosen(iter(batch), read_options))
        for column in dict.fromkeys(key for mark in chosen for key in mark.values):
            judge = judges.setdefault(column, Judge(commas_part=True))
            judge.look(pa.array([mark.values.get(column) for mark in chosen], pa.string()))
        if len(judges) > MAX_COLUMNS:
            raise PermanentError(
                f"The placemarks have more than {MAX_COLUMNS} different names of data.",
                remediation="Export the data as a table with few columns, such as GeoPackage.",
                code="too_many_columns",
            )
    if read_options.layer is not None and read_options.layer not in (ALL_LAYERS, *folders):
        raise PermanentError(
            f"The file has no folder {clip(read_options.layer)!r}. Its folders are: {listed(folders)}.",
            remediation="Choose one of these as layer, or leave layer out to load all of them.",
            code="layer_missing",
        )
    return list(folders), {LAYER: "text", **{column: judge.kind for column, judge in judges.items()}}


def _chosen(marks: Iterator[Placemark], read_options: ReadOptions) -> Iterator[Placemark]:
    every = read_options.layer in (None, ALL_LAYERS)
    for mark in marks:
        if every or mark.layer == read_options.layer:
            # The folder is a column like the others; data of that name gives way.
            if LAYER in mark.values:
                mark.values[f"{LAYER}_data"] = mark.values.pop(LAYER)
            yield mark


def _in_batches(marks: Iterator[Placemark]) -> Iterator[list[Placemark]]:
    while batch := list(islice(marks, BATCH_ROWS)):
        yield batch


def _batches(marks: Iterator[Placemark], kinds: dict[str, Kind]) -> Iterator[SourceBatch]:
    first = 0
    for batch in _in_batches(marks):
        texts = [pa.array([mark.layer for mark in batch], pa.string())]
        texts += [pa.array([mark.values.get(column) for mark in batch], pa.string()) for column in list(kinds)[1:]]
        values = [csv_types.convert(text, kind) for text, kind in zip(texts, kinds.values(), strict=True)]
        attributes = pa.RecordBatch.from_arrays(values, names=list(kinds))
        geometry = pa.array([mark.geometry for mark in batch], pa.binary())
        yield SourceBatch(
            np.arange(first, first + len(batch)), attributes, geometry, wkb.read_headers(geometry).kinds, _faults(batch)
        )
        first += len(batch)


def _faults(batch: list[Placemark]) -> pa.Array | None:
    if not any(mark.fault for mark in batch):
        return None
    return pa.array([_fault(mark) if mark.fault else None for mark in batch], FAULT_TYPE)


def _fault(mark: Placemark) -> dict[str, str | None]:
    return {"reason": mark.fault, "raw": str({**mark.values, "coordinates": mark.text})[:10_000]}
