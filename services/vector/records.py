"""Records of a file of delimited text: its rows in order, all values as text, ragged rows among them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from schema.errors import PermanentError
from services.vector.dialect import Dialect
from services.vector.outline import Outline

BATCH_ROWS = 10_000
_BLOCK_BYTES = 2**19
_LARGEST_BLOCK = 512 * 2**20
MAX_RAW = 10_000
"""Characters of a faulty row that are kept."""
_KEPT_BYTES = 16 * 2**20
"""Of a file whose rows are kept between the two looks at them."""


@dataclass(frozen=True)
class Seek:
    """Where the rows of a file can be read from."""

    offset: int = 0
    """In bytes; at 0 the names of the columns come first."""
    row: int = 0
    """0-based number of the row that begins there."""


@dataclass(frozen=True)
class Records:
    """Rows in their order, all values as text; ragged ones are null, and their text stands apart."""

    first: int
    """0-based number of the first row."""
    values: pa.RecordBatch
    ragged: dict[int, str]
    """Text of a ragged row by its place in the batch."""
    seek: Seek
    """Where to read from, to come to these rows soon."""


def rows_of(path: Path, dialect: Dialect, found: Outline) -> Callable[[], Iterator[Records]]:
    """Give a way to the rows that can be gone twice; a small file is parsed once and kept."""
    if path.stat().st_size > _KEPT_BYTES:
        return partial(_read_all, path, dialect, found)
    return partial(iter, list(_read_all(path, dialect, found)))


def block_bytes(found: Outline) -> int:
    """Choose blocks that hold the longest line, so that no row is longer than a block."""
    return min(_LARGEST_BLOCK, max(_BLOCK_BYTES, 2 * found.longest_line + 4096))


def read_rows(
    path: Path, dialect: Dialect, seek: Seek, block: int, first: int, rows: int, check: Callable[[], None]
) -> Iterator[Records]:
    """Read rows again from a place before them, which may be far; `first` is the number of the first of them."""
    with path.open("rb") as file:
        file.seek(seek.offset)
        for records in _read(file, dialect, seek, block):
            check()
            before, end = max(first - records.first, 0), min(first + rows - records.first, records.values.num_rows)
            if before < end:
                yield _cut(records, before, end - before)
            if records.first + records.values.num_rows >= first + rows:
                return


def _read_all(path: Path, dialect: Dialect, found: Outline) -> Iterator[Records]:
    """Read the parts of a file one by one, so that the number of the row is known at which each begins."""
    block, row = block_bytes(found), 0
    with path.open("rb") as file:
        for start, end in zip_longest(found.starts, found.starts[1:]):
            part = file if end is None else io.BytesIO(file.read(end - start))
            for records in _read(part, dialect, Seek(start, row), block if end is None else max(block, end - start)):
                row = records.first + records.values.num_rows
                yield records


def _read(file: IO[bytes], dialect: Dialect, seek: Seek, block: int) -> Iterator[Records]:
    ragged: list[tuple[int, str]] = []
    header = seek.offset == 0

    # Numbers begin at 1, and the names of the columns are a row too.
    before_first = seek.row - 1 - header

    def note(row: Any) -> str:
        ragged.append((row.number + before_first, row.text[:MAX_RAW]))
        return "skip"

    first = seek.row
    for batch in _parse(file, dialect, note, block, dialect.skip if header else 0):
        values = batch.slice(1) if header else batch
        header = False
        records = _fill_in(seek, first, values, ragged)
        first += records.values.num_rows
        yield from _in_parts(records)
    if ragged:
        yield _fill_in(seek, first, _empty(dialect), ragged)


def _parse(
    file: IO[bytes], dialect: Dialect, note: Callable[[Any], str], block: int, skip: int
) -> Iterator[pa.RecordBatch]:
    """Give the rows that are whole, the header first if it is there, as text."""
    names = [f"f{i}" for i in range(len(dialect.names))]
    try:
        with pcsv.open_csv(
            file,
            read_options=pcsv.ReadOptions(
                use_threads=False,
                column_names=names,
                skip_rows=skip,
                encoding=dialect.encoding.name,
                block_size=block,
            ),
            parse_options=pcsv.ParseOptions(
                delimiter=dialect.delimiter, newlines_in_values=True, invalid_row_handler=note
            ),
            convert_options=pcsv.ConvertOptions(
                column_types=dict.fromkeys(names, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        ) as reader:
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


def check_quotes(found: Outline, last: Records | None) -> None:
    """Refuse a file whose last row swallows others: for pyarrow a value that is never closed goes on to the end."""
    if last is None or not found.open_quote:
        return
    row = last.values.num_rows - 1
    values = [last.ragged.get(row), *(column[row].as_py() for column in last.values.columns)]
    if any(value and "\n" in value for value in values):
        raise PermanentError(
            f"A quotation mark in row {last.first + row + 1} is not closed.",
            remediation="Close it, or double it where it is part of a value, and upload the file anew.",
            code="quote_not_closed",
        )


def _fill_in(seek: Seek, first: int, values: pa.RecordBatch, ragged: list[tuple[int, str]]) -> Records:
    """Put null rows where ragged ones stood, and take these off the list."""
    total, places = values.num_rows, {}
    while ragged and ragged[0][0] - first < total + (values.num_rows == 0):
        row, text = ragged.pop(0)
        places[row - first] = text
        total += 1
    if not places:
        return Records(first, values, {}, seek)
    whole = np.ones(total, np.bool_)
    whole[list(places)] = False
    indices = pa.array(np.cumsum(whole) - 1, mask=~whole)
    return Records(first, values.take(indices), places, seek)


def _in_parts(records: Records) -> Iterator[Records]:
    for start in range(0, records.values.num_rows, BATCH_ROWS):
        yield _cut(records, start, BATCH_ROWS)


def _cut(records: Records, start: int, rows: int) -> Records:
    inside = {row - start: text for row, text in records.ragged.items() if start <= row < start + rows}
    return Records(records.first + start, records.values.slice(start, rows), inside, records.seek)


def _empty(dialect: Dialect) -> pa.RecordBatch:
    return pa.record_batch({f"f{i}": pa.array([], pa.string()) for i in range(len(dialect.names))})
