"""Delimited text (CSV, TSV): its dialect, its rows as batches of text, its types and its coordinates.

The file is read twice from the front by pyarrow: once to judge types and coordinates on every value, once to make the
batches. Rows with more or fewer values than the header keep their place and bear a fault.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from schema.errors import PermanentError
from services.vector import coordinates, encodings, inference
from services.vector.coordinates import Place, Ranges
from services.vector.encodings import Encoding
from services.vector.hints import Hints
from services.vector.inference import Judge, Kind
from services.vector.layer import FAULT_TYPE, SourceBatch, SourceLayer, typed_kinds

RAGGED = "wrong_number_of_values"
BATCH_ROWS = 5_000
_HEAD_BYTES = 256 * 1024
_BLOCK_BYTES = 2**20
_LARGEST_BLOCK = 512 * 2**20
_KEPT_BYTES = 16 * 2**20
"""Of a file whose rows are kept between the two looks at them."""
_MAX_RAW = 10_000
_SAMPLE_ROWS = 200
_NO_DELIMITER = "\x1f"
_DELIMITERS = (",", ";", "\t", "|", ":")
_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    encoding: Encoding
    delimiter: str
    names: tuple[str, ...]
    """The columns, as the first row names them."""
    skip: int
    """Lines before the row of names."""


@dataclass(frozen=True)
class _Records:
    """Rows in their order, all values as text; ragged ones are null, and their text stands apart."""

    first: int
    """0-based number of the first row."""
    values: pa.RecordBatch
    ragged: dict[int, str]
    """Text of a ragged row by its place in the batch."""


@dataclass(frozen=True)
class _Judgement:
    kinds: tuple[Kind, ...]
    place: Place
    swapped: bool
    crs: str
    encloses: tuple[float, float, float, float] | None


@contextmanager
def open_delimited(
    path: Path, name: str, hints: Hints, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a file of delimited text for one pass over its rows. Raises PermanentError."""
    dialect = read_dialect(path, hints)
    rows = _rows_of(path, dialect)
    found = _judge(path, dialect, rows(), hints, check)
    kept = [i for i in range(len(dialect.names)) if found.place.kind != "shape" or i != found.place.x]
    fields = tuple((dialect.names[i], inference.ARROW_TYPES[found.kinds[i]]) for i in kept)
    layer = SourceLayer(name, found.crs, fields, found.encloses, _describe(dialect, found))
    yield layer, (_batch(records, found, kept) for records in rows())


def _rows_of(path: Path, dialect: Dialect) -> Callable[[], Iterator[_Records]]:
    """Give a way to the rows that can be gone twice; a small file is parsed once and kept."""
    if path.stat().st_size > _KEPT_BYTES:
        return partial(_read, path, dialect)
    return partial(iter, list(_read(path, dialect)))


def read_dialect(path: Path, hints: Hints) -> Dialect:
    """Find encoding, delimiter and names of the columns. Reads the whole file for its encoding."""
    if hints.encoding:
        encoding = Encoding(encodings.known_name(hints.encoding) or hints.encoding, "parameter")
        encodings.check(path, encoding.name)
    else:
        encoding = encodings.detect(path)
    with path.open(encoding="utf-8-sig" if encoding.name == "utf-8" else encoding.name, newline="") as file:
        head = file.read(_HEAD_BYTES)
    skip, told = 0, None
    first, _, rest = head.partition("\n")
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == 5:
        # What Excel writes and obeys.
        skip, told, head = 1, first[4], rest
    delimiter = told or _choose_delimiter(head)
    names = next((row for row in csv.reader(head.splitlines(keepends=True), delimiter=delimiter) if row), None)
    if not names:
        raise PermanentError(
            "The file has no row of column names.", remediation="Write the names into its first row.", code="no_header"
        )
    return Dialect(encoding, delimiter, tuple(names), skip)


def _choose_delimiter(head: str) -> str:
    """Choose the delimiter by which most rows have as many values as the header has names."""
    lines = head.splitlines(keepends=True)[:_SAMPLE_ROWS]
    best, most = _NO_DELIMITER, 0.0
    for delimiter in _DELIMITERS:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if not counts or counts[0] < 2:
            continue
        agreeing = sum(count == counts[0] for count in counts) / len(counts)
        # Two columns in every row speak louder than three in a few.
        score = agreeing * 100 + min(counts[0], 50) / 100
        if score > most:
            best, most = delimiter, score
    return best


def _read(path: Path, dialect: Dialect) -> Iterator[_Records]:
    ragged: list[tuple[int, str]] = []

    def note(row: Any) -> str:
        # The first row is the header, and numbers begin at 1.
        ragged.append((row.number - 2, row.text[:_MAX_RAW]))
        return "skip"

    header, first = True, 0
    for batch in _parse(path, dialect, note):
        values = batch.slice(1) if header else batch
        header = False
        records = _fill_in(first, values, ragged)
        first += records.values.num_rows
        yield from _in_parts(records)
    if ragged:
        yield _fill_in(first, _empty(dialect), ragged)


def _parse(path: Path, dialect: Dialect, note: Callable[[Any], str]) -> Iterator[pa.RecordBatch]:
    """Give the rows that are whole, the header first, as text."""
    columns = {f"f{i}": pa.string() for i in range(len(dialect.names))}
    try:
        reader = pcsv.open_csv(
            path,
            read_options=pcsv.ReadOptions(
                use_threads=False,
                autogenerate_column_names=True,
                skip_rows=dialect.skip,
                encoding=dialect.encoding.name,
                block_size=_block_size(path),
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pcsv.ConvertOptions(
                column_types=columns, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
            ),
        )
        yield from reader
    except pa.ArrowInvalid as exc:
        if "Empty CSV" in str(exc):
            # Nothing but a header without a line's end.
            return
        raise PermanentError(
            f"The file cannot be read as delimited text: {str(exc)[:300]}.",
            remediation="Look for a quotation mark that is not closed, write the file anew, and upload it.",
            code="source_unreadable",
        ) from exc


def _block_size(path: Path) -> int:
    """Choose blocks that hold the longest line, so that no row is longer than a block."""
    longest, current = 0, 0
    for block in _blocks(path):
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == ord("\n"))
        if not len(ends):
            current += len(block)
            continue
        longest = max(longest, current + int(ends[0]), int(np.diff(ends).max(initial=0)))
        current = len(block) - int(ends[-1])
    return min(_LARGEST_BLOCK, max(_BLOCK_BYTES, 2 * max(longest, current) + 4096))


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            yield block


def _check_quotes(path: Path, last: _Records | None) -> None:
    """Refuse a file whose last row swallows others: for pyarrow a value that is never closed goes on to the end."""
    if last is None or sum(block.count(b'"') for block in _blocks(path)) % 2 == 0:
        return
    row = last.values.num_rows - 1
    values = [last.ragged.get(row), *(column[row].as_py() for column in last.values.columns)]
    if any(value and "\n" in value for value in values):
        raise PermanentError(
            f"A quotation mark in row {last.first + row + 1} is not closed.",
            remediation="Close it, or double it where it is part of a value, and upload the file anew.",
            code="quote_not_closed",
        )


def _fill_in(first: int, values: pa.RecordBatch, ragged: list[tuple[int, str]]) -> _Records:
    """Put null rows where ragged ones stood, and take these off the list."""
    total, places = values.num_rows, {}
    while ragged and ragged[0][0] - first < total + (values.num_rows == 0):
        row, text = ragged.pop(0)
        places[row - first] = text
        total += 1
    if not places:
        return _Records(first, values, {})
    whole = np.ones(total, np.bool_)
    whole[list(places)] = False
    indices = pa.array(np.cumsum(whole) - 1, mask=~whole)
    return _Records(first, values.take(indices), places)


def _in_parts(records: _Records) -> Iterator[_Records]:
    for start in range(0, records.values.num_rows, BATCH_ROWS):
        inside = {row - start: text for row, text in records.ragged.items() if start <= row < start + BATCH_ROWS}
        yield _Records(records.first + start, records.values.slice(start, BATCH_ROWS), inside)


def _empty(dialect: Dialect) -> pa.RecordBatch:
    return pa.record_batch({f"f{i}": pa.array([], pa.string()) for i in range(len(dialect.names))})


def _judge(
    path: Path, dialect: Dialect, rows: Iterator[_Records], hints: Hints, check: Callable[[], None]
) -> _Judgement:
    """Read the whole file for what its values are."""
    judges = [Judge(commas_part=dialect.delimiter == ",") for _ in dialect.names]
    place: Place | None = None
    ranges, bounds, srids = Ranges(), np.array([np.inf, np.inf, -np.inf, -np.inf]), set[int]()
    last: _Records | None = None
    for records in rows:
        check()
        last = records
        for judge, values in zip(judges, records.values.columns, strict=True):
            judge.look(values)
        if place is None:
            place = coordinates.find_place(dialect.names, _samples(records.values), hints)
            if place.kind == "shape":
                srids, x, y = _look_at_shapes(records.values.column(place.x))
                ranges.look(x, y)
        if place.kind != "shape":
            x, y, _ = _numbers(records.values, place)
            ranges.look(x, y)
            _grow(bounds, x, y)
    _check_quotes(path, last)
    if place is None:
        place = coordinates.find_place(dialect.names, [() for _ in dialect.names], hints)
    kinds = tuple(judge.kind for judge in judges)
    crs = _choose_crs(dialect, place, ranges, srids, hints)
    swapped = place.kind != "shape" and hints.source_crs is None and ranges.axes == "swapped"
    west, south, east, north = (float(edge) for edge in (bounds[[1, 0, 3, 2]] if swapped else bounds))
    encloses = (west, south, east, north) if np.isfinite(bounds).all() else None
    return _Judgement(kinds, place, swapped, crs, encloses)


def _samples(values: pa.RecordBatch) -> list[list[str]]:
    return [[text for text in column.slice(0, _SAMPLE_ROWS).to_pylist() if text] for column in values.columns]


def _look_at_shapes(values: pa.Array) -> tuple[set[int], coordinates.Floats, coordinates.Floats]:
    """Read some shapes for the SRIDs that they name and the coordinates they begin at."""
    shapes, _, srids = coordinates.read_shapes(values.slice(0, _SAMPLE_ROWS))
    points = coordinates.first_points(shapes)
    return srids, points[:, 0], points[:, 1]


def _numbers(values: pa.RecordBatch, place: Place) -> tuple[coordinates.Floats, coordinates.Floats, Any]:
    if place.kind == "pair":
        return coordinates.read_pairs(values.column(place.x))
    x, wrong_x = coordinates.read_numbers(values.column(place.x))
    y, wrong_y = coordinates.read_numbers(values.column(place.y))
    return x, y, wrong_x | wrong_y | (np.isnan(x) != np.isnan(y))


def _grow(bounds: Any, x: coordinates.Floats, y: coordinates.Floats) -> None:
    known = ~(np.isnan(x) | np.isnan(y))
    if known.any():
        x, y = x[known], y[known]
        bounds[:2] = np.minimum(bounds[:2], (x.min(), y.min()))
        bounds[2:] = np.maximum(bounds[2:], (x.max(), y.max()))


def _choose_crs(dialect: Dialect, place: Place, ranges: Ranges, srids: set[int], hints: Hints) -> str:
    if hints.source_crs:
        return hints.source_crs
    if len(srids) == 1:
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
    delimiter = {"\t": "tab", _NO_DELIMITER: None}.get(dialect.delimiter, dialect.delimiter)
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


def _batch(records: _Records, found: _Judgement, kept: list[int]) -> SourceBatch:
    values = records.values
    geometry, faults = _geometry(values, found)
    for row in records.ragged:
        faults[row] = RAGGED
    columns = [inference.convert(values.column(i), found.kinds[i]) for i in kept]
    attributes = pa.RecordBatch.from_arrays(columns, names=[f"f{i}" for i in kept])
    fids = np.arange(records.first, records.first + values.num_rows)
    return SourceBatch(fids, attributes, geometry, typed_kinds(geometry), _as_faults(values, faults, records.ragged))


def _geometry(values: pa.RecordBatch, found: _Judgement) -> tuple[pa.Array, dict[int, str]]:
    if found.place.kind == "shape":
        texts = values.column(found.place.x)
        shapes, wrong, _ = coordinates.read_shapes(texts)
        return shapes, {row: coordinates.fault_of(texts[row].as_py()) for row in np.flatnonzero(wrong).tolist()}
    x, y, wrong = _numbers(values, found.place)
    if found.swapped:
        x, y = y, x
    faults = dict.fromkeys(np.flatnonzero(wrong).tolist(), coordinates.UNREADABLE)
    outside = coordinates.out_of_range(x, y) if found.crs == _WGS84 else np.zeros(len(x), np.bool_)
    faults |= dict.fromkeys(np.flatnonzero(outside & ~wrong).tolist(), coordinates.OUT_OF_RANGE)
    return coordinates.points(x, y, ~wrong & ~outside), faults


def _as_faults(values: pa.RecordBatch, faults: dict[int, str], ragged: dict[int, str]) -> pa.Array | None:
    """Tell of each faulty row what is wrong, and how it stands in the file."""
    if not faults:
        return None
    rows: list[dict[str, str] | None] = [None] * values.num_rows
    for row, reason in faults.items():
        text = ragged.get(row)
        if text is None:
            text = str([column[row].as_py() for column in values.columns])[:_MAX_RAW]
        rows[row] = {"reason": reason, "raw": text}
    return pa.array(rows, FAULT_TYPE)
