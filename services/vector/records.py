"""Records of a file of delimited text: its rows in order, all values as text, ragged rows among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from schema.errors import PermanentError
from services.vector.dialect import Dialect

BATCH_ROWS = 5_000
_BLOCK_BYTES = 2**20
_LARGEST_BLOCK = 512 * 2**20
MAX_RAW = 10_000
"""Characters of a faulty row that are kept."""
_KEPT_BYTES = 16 * 2**20
"""Of a file whose rows are kept between the two looks at them."""


@dataclass(frozen=True)
class Records:
    """Rows in their order, all values as text; ragged ones are null, and their text stands apart."""

    first: int
    """0-based number of the first row."""
    values: pa.RecordBatch
    ragged: dict[int, str]
    """Text of a ragged row by its place in the batch."""


def rows_of(path: Path, dialect: Dialect) -> Callable[[], Iterator[Records]]:
    """Give a way to the rows that can be gone twice; a small file is parsed once and kept."""
    if path.stat().st_size > _KEPT_BYTES:
        return partial(_read, path, dialect)
    return partial(iter, list(_read(path, dialect)))


def _read(path: Path, dialect: Dialect) -> Iterator[Records]:
    ragged: list[tuple[int, str]] = []

    def note(row: Any) -> str:
        # The first row is the header, and numbers begin at 1.
        ragged.append((row.number - 2, row.text[:MAX_RAW]))
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


def check_quotes(path: Path, last: Records | None) -> None:
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


def _fill_in(first: int, values: pa.RecordBatch, ragged: list[tuple[int, str]]) -> Records:
    """Put null rows where ragged ones stood, and take these off the list."""
    total, places = values.num_rows, {}
    while ragged and ragged[0][0] - first < total + (values.num_rows == 0):
        row, text = ragged.pop(0)
        places[row - first] = text
        total += 1
    if not places:
        return Records(first, values, {})
    whole = np.ones(total, np.bool_)
    whole[list(places)] = False
    indices = pa.array(np.cumsum(whole) - 1, mask=~whole)
    return Records(first, values.take(indices), places)


def _in_parts(records: Records) -> Iterator[Records]:
    for start in range(0, records.values.num_rows, BATCH_ROWS):
        inside = {row - start: text for row, text in records.ragged.items() if start <= row < start + BATCH_ROWS}
        yield Records(records.first + start, records.values.slice(start, BATCH_ROWS), inside)


def _empty(dialect: Dialect) -> pa.RecordBatch:
    return pa.record_batch({f"f{i}": pa.array([], pa.string()) for i in range(len(dialect.names))})
