"""Records of a file of delimited text: its rows in order, all values as text, ragged rows among them."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from schema.errors import PermanentError
from services.vector.chunks import FilePart
from services.vector.readers.csv.dialect import Dialect
from services.vector.readers.csv.split import PART_ROWS, Outline

_BLOCK_BYTES = 2**23
"""Of the blocks in which a file is read that cannot be parted: a row of several lines must fit into one."""
_LARGEST_BLOCK = 512 * 2**20
MAX_RAW = 10_000
"""Characters of a faulty row that are kept."""
_KEPT_BYTES = 16 * 2**20
"""Of a file whose rows are kept between the two looks at them."""
_AT_ONCE_BYTES = 16 * 2**20
"""Of the last part of a file, or the only one, if it is parsed in one go as the others are."""


@dataclass(frozen=True)
class Records:
    """Rows in their order, all values as text; ragged ones are null, and their text stands apart."""

    first: int
    """0-based number of the first row."""
    values: pa.RecordBatch
    ragged: dict[int, str]
    """Text of a ragged row by its place in the batch."""
    part: FilePart
    """The part of the file that they stand in."""


def rows_of(path: Path, dialect: Dialect, found: Outline) -> Callable[[], Iterator[Records]]:
    """Give a way to the rows that can be gone twice; a small file is parsed once and kept."""
    if path.stat().st_size > _KEPT_BYTES:
        return partial(_read_all, path, dialect, found)
    return partial(iter, list(_read_all(path, dialect, found)))


def block_bytes(found: Outline) -> int:
    """Choose blocks that hold the longest line, so that no row is longer than a block."""
    return min(_LARGEST_BLOCK, max(_BLOCK_BYTES, 2 * found.longest_line + 4096))


def read_rows(
    path: Path, dialect: Dialect, part: FilePart, block: int, first: int, rows: int, check: Callable[[], None]
) -> Iterator[Records]:
    """Read rows of a part of a file again; `first` is the number of the first of them."""
    for records in _read_part(path, dialect, part, block, at_once=part.end - part.begin <= _AT_ONCE_BYTES):
        check()
        before, end = max(first - records.first, 0), min(first + rows - records.first, records.values.num_rows)
        if before < end:
            yield from _in_batches(_cut(records, before, end - before))
        if records.first + records.values.num_rows >= first + rows:
            return


def _read_all(path: Path, dialect: Dialect, found: Outline) -> Iterator[Records]:
    """Read the parts of a file one by one, so that the number of the row is known at which each begins."""
    block, row, size = block_bytes(found), 0, path.stat().st_size
    for begin, end in pairwise((*found.starts, size)):
        at_once = end < size or end - begin <= _AT_ONCE_BYTES
        for records in _read_part(path, dialect, FilePart(begin, end, row), block, at_once=at_once):
            row = records.first + records.values.num_rows
            yield from _in_batches(records)


def _read_part(path: Path, dialect: Dialect, part: FilePart, block: int, *, at_once: bool) -> Iterator[Records]:
    """Read a part, in one go or in blocks; in blocks it goes on to the end of the file."""
    with path.open("rb") as file:
        file.seek(part.begin)
        if at_once:
            size = part.end - part.begin
            yield from _read(io.BytesIO(file.read(size)), dialect, part, max(block, size))
        else:
            yield from _read(file, dialect, part, block)


def _read(file: IO[bytes], dialect: Dialect, part: FilePart, block: int) -> Iterator[Records]:
    ragged: deque[tuple[int, str]] = deque()
    header = part.begin == 0

    # Numbers begin at 1; the names of the columns are a row too, and so is each line that is passed over before them.
    before_first = part.first_row - 1 - (1 + dialect.skip if header else 0)

    def note(row: Any) -> str:
        ragged.append((row.number + before_first, row.text[:MAX_RAW]))
        return "skip"

    first = part.first_row
    for batch in _parse(file, dialect, note, block, dialect.skip if header else 0):
        values = batch.slice(1) if header else batch
        header = False
        records = _fill_in(part, first, values, ragged)
        first += records.values.num_rows
        yield records
    if ragged:
        yield _fill_in(part, first, _empty(dialect), ragged)
    if ragged:
        raise RuntimeError(f"{len(ragged)} rows with a wrong number of values have no place.")


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
        if "straddling" in str(exc):
            raise PermanentError(
                f"A row is longer than the {block / 1e6:.1f} MB that are read at once.",
                remediation="If no quotation mark is open by mistake, write the file as UTF-8, in which longer rows "
                "can be read, or shorten the value.",
                code="source_unreadable",
            ) from exc
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


def _fill_in(part: FilePart, first: int, values: pa.RecordBatch, ragged: deque[tuple[int, str]]) -> Records:
    """Put null rows where ragged ones stood, and take these off the list."""
    total, places = values.num_rows, {}
    while ragged and ragged[0][0] - first < total + (values.num_rows == 0):
        row, text = ragged.popleft()
        places[row - first] = text
        total += 1
    if not places:
        return Records(first, values, {}, part)
    whole = np.ones(total, np.bool_)
    whole[list(places)] = False
    indices = pa.array(np.cumsum(whole) - 1, mask=~whole)
    return Records(first, values.take(indices), places, part)


def _in_batches(records: Records) -> Iterator[Records]:
    for start in range(0, records.values.num_rows, PART_ROWS):
        yield _cut(records, start, PART_ROWS)


def _cut(records: Records, start: int, rows: int) -> Records:
    inside = {row - start: text for row, text in records.ragged.items() if start <= row < start + rows}
    return Records(records.first + start, records.values.slice(start, rows), inside, records.part)


def _empty(dialect: Dialect) -> pa.RecordBatch:
    return pa.record_batch({f"f{i}": pa.array([], pa.string()) for i in range(len(dialect.names))})
