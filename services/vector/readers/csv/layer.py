"""Delimited text (CSV, TSV): its dialect, its rows as batches of text, its types and its coordinates.

pyarrow reads the file from the front to judge types and coordinates on every value; after that any rows can be read
again by themselves. Rows with more or fewer values than the header keep their place and bear a fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schema.errors import PermanentError
from schema.jobs import Json
from schema.words import clip, listed
from services.vector.chunks import Chunk, FilePart
from services.vector.geometry import wkb
from services.vector.read_options import ReadOptions
from services.vector.readers.csv import geometry as csv_geometry
from services.vector.readers.csv import types as csv_types
from services.vector.readers.csv.dialect import NO_DELIMITER, SAMPLE_ROWS, Dialect, read_dialect
from services.vector.readers.csv.geometry import Place, Ranges
from services.vector.readers.csv.rows import MAX_RAW, Records, block_bytes, check_quotes, read_rows, rows_of
from services.vector.readers.csv.split import Outline, outline
from services.vector.readers.csv.types import Judge, Kind
from services.vector.readers.encodings import Encoding
from services.vector.readers.source_layer import FAULT_TYPE, SourceBatch, SourceLayer

RAGGED = "wrong_number_of_values"
_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class _Judgement:
    kinds: tuple[Kind, ...]
    place: Place
    swapped: bool
    crs: str
    encloses: tuple[float, float, float, float] | None

    @property
    def kept(self) -> list[int]:
        """The columns that are attributes."""
        return [i for i in range(len(self.kinds)) if self.place.kind != "shape" or i != self.place.x]


@contextmanager
def open_delimited(
    path: Path, name: str, read_options: ReadOptions, check: Callable[[], None], *, geometry_only: bool = False
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a file of delimited text for one pass over its rows, after one that judges them. Raises PermanentError."""
    dialect = read_dialect(path, read_options)
    seen = outline(path, dialect)
    rows = rows_of(path, dialect, seen)
    found = _judge(dialect, seen, rows(), read_options, check)
    reader_state = _as_recipe(dialect, found, block_bytes(seen))
    layer = SourceLayer(
        name,
        found.crs,
        _fields(dialect, found),
        found.encloses,
        reading=_describe(dialect, found),
        reader_state=reader_state,
    )
    kept = [] if geometry_only else found.kept
    yield layer, (_batch(records, found, kept, None if read_options.source_crs else dialect) for records in rows())


@contextmanager
def reopen_delimited(
    path: Path, name: str, reader_state: Json, chunk: Chunk, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open it again for the rows of a chunk, which are read as the first pass judged all of them."""
    dialect, found, block = _from_recipe(reader_state)
    layer = SourceLayer(name, found.crs, _fields(dialect, found), None, reader_state=reader_state)
    rows = read_rows(
        path, dialect, chunk.part or FilePart(0, path.stat().st_size, 0), block, chunk.first_fid, chunk.rows, check
    )
    yield layer, (_batch(records, found, found.kept) for records in rows)


def _fields(dialect: Dialect, found: _Judgement) -> tuple[tuple[str, pa.DataType], ...]:
    return tuple((dialect.names[i], csv_types.ARROW_TYPES[found.kinds[i]]) for i in found.kept)


def _as_recipe(dialect: Dialect, found: _Judgement, block: int) -> Json:
    """Write down what it takes to read rows again."""
    return {"dialect": asdict(dialect), "judgement": asdict(found), "block_bytes": block}


def _from_recipe(reader_state: Json) -> tuple[Dialect, _Judgement, int]:
    written, judged = reader_state["dialect"], reader_state["judgement"]
    dialect = Dialect(**{**written, "encoding": Encoding(**written["encoding"]), "names": tuple(written["names"])})
    found = _Judgement(**{**judged, "kinds": tuple(judged["kinds"]), "place": Place(**judged["place"])})
    return dialect, found, reader_state["block_bytes"]


def _judge(
    dialect: Dialect, seen: Outline, rows: Iterator[Records], read_options: ReadOptions, check: Callable[[], None]
) -> _Judgement:
    """Read the whole file for what its values are."""
    judges = [Judge(commas_part=dialect.delimiter == ",") for _ in dialect.names]
    place: Place | None = None
    ranges, bounds, srids = Ranges(), np.array([np.inf, np.inf, -np.inf, -np.inf]), set[int]()
    last: Records | None = None
    for records in rows:
        check()
        last = records
        for judge, values in zip(judges, records.values.columns, strict=True):
            judge.look(values)
        if place is None:
            place = csv_geometry.find_place(dialect.names, _samples(records.values), read_options)
        if place.kind == "shape":
            named, x, y = _look_at_shapes(records.values.column(place.x))
            srids |= named
            ranges.look(x, y)
        else:
            x, y, _ = _numbers(records.values, place)
            ranges.look(x, y)
            _grow(bounds, x, y)
    check_quotes(seen, last)
    if place is None:
        place = csv_geometry.find_place(dialect.names, [() for _ in dialect.names], read_options)
    kinds = tuple(judge.kind for judge in judges)
    crs = _choose_crs(dialect, place, ranges, srids, read_options)
    swapped = place.kind != "shape" and read_options.source_crs is None and ranges.axes == "swapped"
    west, south, east, north = (float(edge) for edge in (bounds[[1, 0, 3, 2]] if swapped else bounds))
    encloses = (west, south, east, north) if np.isfinite(bounds).all() else None
    return _Judgement(kinds, place, swapped, crs, encloses)


def _samples(values: pa.RecordBatch) -> list[list[str]]:
    return [
        [text for text in column.drop_null().slice(0, SAMPLE_ROWS).to_pylist() if text] for column in values.columns
    ]


def _look_at_shapes(values: pa.Array) -> tuple[set[int], csv_geometry.Floats, csv_geometry.Floats]:
    """Read some shapes for the SRIDs that they name and the coordinates they begin at."""
    shapes, _, srids = csv_geometry.read_shapes(values.drop_null().slice(0, SAMPLE_ROWS))
    points = csv_geometry.first_points(shapes)
    return srids, points[:, 0], points[:, 1]


def _numbers(values: pa.RecordBatch, place: Place) -> tuple[csv_geometry.Floats, csv_geometry.Floats, Any]:
    if place.kind == "pair":
        return csv_geometry.read_pairs(values.column(place.x))
    x, wrong_x = csv_geometry.read_numbers(values.column(place.x))
    y, wrong_y = csv_geometry.read_numbers(values.column(place.y))
    return x, y, wrong_x | wrong_y | (np.isnan(x) != np.isnan(y))


def _grow(bounds: Any, x: csv_geometry.Floats, y: csv_geometry.Floats) -> None:
    known = ~(np.isnan(x) | np.isnan(y))
    if known.any():
        x, y = x[known], y[known]
        bounds[:2] = np.minimum(bounds[:2], (x.min(), y.min()))
        bounds[2:] = np.maximum(bounds[2:], (x.max(), y.max()))


def _choose_crs(dialect: Dialect, place: Place, ranges: Ranges, srids: set[int], read_options: ReadOptions) -> str:
    if read_options.source_crs:
        return read_options.source_crs
    if len(srids) > 1:
        raise _several_srids(dialect.names[place.x], srids)
    if srids:
        return f"EPSG:{next(iter(srids))}"
    if ranges.axes == "projected":
        columns = " and ".join(dict.fromkeys((dialect.names[place.y], dialect.names[place.x])))
        raise PermanentError(
            f"The coordinates in {columns} are no degrees, and nothing says which coordinate reference system "
            "they are in.",
            remediation='Name it with "source_crs", such as "EPSG:25832".',
            code="crs_missing",
        )
    return _WGS84


def _describe(dialect: Dialect, found: _Judgement) -> dict[str, Any]:
    place, names = found.place, dialect.names
    delimiter = {"\t": "tab", NO_DELIMITER: None}.get(dialect.delimiter, dialect.delimiter)
    columns = {"x": names[place.x], "y": names[place.y]} if place.kind == "points" else {place.kind: names[place.x]}
    return {
        "encoding": dialect.encoding.name,
        "encoding_from": dialect.encoding.found_in,
        "delimiter": delimiter,
        "decimal_comma": [name for name, kind in zip(names, found.kinds, strict=True) if kind == "decimal_comma"],
        "coordinates": columns,
        "axes_swapped": found.swapped,
        "column_types": {
            name: "double" if kind == "decimal_comma" else kind for name, kind in zip(names, found.kinds, strict=True)
        },
    }


def _batch(records: Records, found: _Judgement, kept: list[int], named_by: Dialect | None = None) -> SourceBatch:
    values = records.values
    geometry, faults, srids = _geometry(values, found)
    others = srids - {int(found.crs.removeprefix("EPSG:"))}
    if others and named_by:
        # The first rows did not say so.
        raise _several_srids(named_by.names[found.place.x], srids | {int(found.crs.removeprefix("EPSG:"))})
    for row in records.ragged:
        faults[row] = RAGGED
    columns = [csv_types.convert(values.column(i), found.kinds[i]) for i in kept]
    attributes = pa.RecordBatch.from_arrays(columns, names=[f"f{i}" for i in kept])
    fids = np.arange(records.first, records.first + values.num_rows)
    found_wrong = _as_faults(values, faults, records.ragged)
    return SourceBatch(fids, attributes, geometry, _kinds_of(geometry, found.place), found_wrong, records.part)


def _kinds_of(geometry: pa.Array, place: Place) -> npt.NDArray[np.uint8]:
    if place.kind == "shape":
        return wkb.read_headers(geometry).kinds
    return np.where(geometry.is_valid().to_numpy(zero_copy_only=False), wkb.POINT, 0).astype(np.uint8)


def _geometry(values: pa.RecordBatch, found: _Judgement) -> tuple[pa.Array, dict[int, str], set[int]]:
    """Make the geometries, with the faults of rows and the SRIDs that they name."""
    if found.place.kind == "shape":
        texts = values.column(found.place.x)
        shapes, wrong, srids = csv_geometry.read_shapes(texts)
        faults = {row: csv_geometry.fault_of(texts[row].as_py()) for row in np.flatnonzero(wrong).tolist()}
        return shapes, faults, srids
    x, y, wrong = _numbers(values, found.place)
    if found.swapped:
        x, y = y, x
    faults = dict.fromkeys(np.flatnonzero(wrong).tolist(), csv_geometry.UNREADABLE)
    outside = csv_geometry.out_of_range(x, y) if found.crs == _WGS84 else np.zeros(len(x), np.bool_)
    faults |= dict.fromkeys(np.flatnonzero(outside & ~wrong).tolist(), csv_geometry.OUT_OF_RANGE)
    return csv_geometry.points(x, y, ~wrong & ~outside), faults, set()


def _several_srids(column: str, srids: set[int]) -> PermanentError:
    return PermanentError(
        f"The shapes in column {clip(column)!r} name several coordinate reference systems: "
        f"{listed(f'EPSG:{srid}' for srid in sorted(srids))}.",
        remediation='Write them in one CRS, or split the file; "source_crs" takes all of them for the one it names.',
        code="several_crs",
    )


def _as_faults(values: pa.RecordBatch, faults: dict[int, str], ragged: dict[int, str]) -> pa.Array | None:
    """Tell of each faulty row what is wrong, and how it stands in the file."""
    if not faults:
        return None
    rows: list[dict[str, str] | None] = [None] * values.num_rows
    for row, reason in faults.items():
        text = ragged.get(row)
        if text is None:
            text = str([column[row].as_py() for column in values.columns])[:MAX_RAW]
        rows[row] = {"reason": reason, "raw": text}
    return pa.array(rows, FAULT_TYPE)
