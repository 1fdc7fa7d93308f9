r"""Rows of a CSV file in their order: all values as text, ragged rows among them.

pyarrow parses a part of the file, and shows each ragged row (with more or fewer values than the header) to a handler,
which notes its number and its text and has pyarrow leave it out. The noted rows are put back as rows of nulls:

    bytes              a,b\n1,2\n3\n4,5\n6,7,8\n
    pyarrow's batch    (1,2)        (4,5)
    noted                     1:"3"        3:"6,7,8"
    CsvRows            (1,2) (null) (4,5) (null)       ragged = {1: "3", 3: "6,7,8"}

So each row has the number in a batch that it has in the file, can be found again by it, and is counted and reported
as rejected. GDAL's CSV driver passes over such rows without a word.

Blank lines are not rows, for pyarrow and here.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pcsv

from schema.errors import PermanentError
from services.vector.chunks import Chunk, FilePart
from services.vector.readers.csv.dialect import Dialect
from services.vector.readers.csv.split import PART_ROWS, CsvSplit

# pyarrow's block where a part is not parsed in one go: a row of several lines must fit into one.
_BLOCK_BYTES = 2**23
_LARGEST_BLOCK = 512 * 2**20
MAX_RAW = 10_000
"""Characters of a faulty row that are kept."""
# Rows of a file of up to this size are kept in memory from the first pass to the second.
_KEPT_BYTES = 16 * 2**20
# The last part of a file, which may be all of it, is parsed in one go up to this size; other parts always are.
_AT_ONCE_BYTES = 16 * 2**20


@dataclass(frozen=True)
class CsvRows:
    """Consecutive rows of a file."""

    first: int
    """0-based number of the first row."""
    values: pa.RecordBatch
    """All columns as strings; ragged rows are null."""
    ragged: dict[int, str]
    """Text of each ragged row, by its place in the batch."""
    part: FilePart


@dataclass(frozen=True)
class _AllRows:
    """The rows of a file, parsed anew at each pass."""

    path: Path
    dialect: Dialect
    split: CsvSplit

    def __iter__(self) -> Iterator[CsvRows]:
        # Part by part, because the number of the row with which a part begins is known only after the one before it.
        block, row, size = block_bytes(self.split), 0, self.path.stat().st_size
        for begin, end in pairwise((*self.split.starts, size)):
            at_once = end < size or end - begin <= _AT_ONCE_BYTES
            for rows in _read_part(self.path, self.dialect, FilePart(begin, end, row), block, at_once=at_once):
                row = rows.first + rows.values.num_rows
                yield from _in_batches(rows)


def rows_of(path: Path, dialect: Dialect, split: CsvSplit) -> Iterable[CsvRows]:
    """Return the rows of a file, to be iterated any number of times; a small file is parsed once and kept."""
    rows = _AllRows(path, dialect, split)
    return list(rows) if path.stat().st_size <= _KEPT_BYTES else rows


def block_bytes(split: CsvSplit) -> int:
    """Return the size of pyarrow's blocks: the longest line must fit, as pyarrow refuses rows larger than a block."""
    return min(_LARGEST_BLOCK, max(_BLOCK_BYTES, 2 * split.longest_line + 4096))


def read_chunk(path: Path, dialect: Dialect, block: int, chunk: Chunk, check: Callable[[], None]) -> Iterator[CsvRows]:
    """Yield the rows of a chunk. They are those with the same numbers in `rows_of`.

    Parameters
    ----------
    block
        What block_bytes returned for the file.
    chunk
        Its fids are row numbers from 0.
    check
        Called for each batch; may raise.
    """
    part = chunk.part or FilePart(0, path.stat().st_size, 0)
    first, end = chunk.first_fid, chunk.first_fid + chunk.rows
    for rows in _read_part(path, dialect, part, block, at_once=part.end - part.begin <= _AT_ONCE_BYTES):
        check()
        behind = rows.first + rows.values.num_rows
        begin, stop = max(first, rows.first), min(end, behind)
        if begin < stop:
            yield from _in_batches(_cut(rows, begin - rows.first, stop - begin))
        if behind >= end:
            return


def _read_part(path: Path, dialect: Dialect, part: FilePart, block: int, *, at_once: bool) -> Iterator[CsvRows]:
    """Yield the rows of a part. If it is not parsed at once, they go on to the end of the file."""
    is_first = part.begin == 0
    skip = dialect.skip if is_first else 0
    ragged: deque[tuple[int, str]] = deque()
    # pyarrow counts from 1, and the header is a row to it; so is each line that it skips before the header.
    before_first = part.first_row - 1 - (1 + skip if is_first else 0)

    def note(row: Any) -> str:
        ragged.append((row.number + before_first, row.text[:MAX_RAW]))
        return "skip"

    with path.open("rb") as whole:
        whole.seek(part.begin)
        size = part.end - part.begin
        file = io.BytesIO(whole.read(size)) if at_once else whole
        first, header = part.first_row, int(is_first)
        for batch in _parse(file, dialect, note, max(block, size) if at_once else block, skip):
            rows = _put_back(part, first, batch.slice(header), ragged)
            first, header = first + rows.values.num_rows, 0
            yield rows
    if ragged:
        empty = pa.record_batch({f"f{i}": pa.array([], pa.string()) for i in range(len(dialect.names))})
        yield _put_back(part, first, empty, ragged)
    if ragged:
        raise RuntimeError(f"{len(ragged)} rows with a wrong number of values have no place.")


def _parse(
    file: IO[bytes], dialect: Dialect, note: Callable[[Any], str], block: int, skip: int
) -> Iterator[pa.RecordBatch]:
    """Yield the rows that are not ragged as text, the header among them. `note` is called for those that are."""
    names = [f"f{i}" for i in range(len(dialect.names))]
    try:
        with pcsv.open_csv(
            file,
            read_options=pcsv.ReadOptions(
                # A worker runs several tasks side by side, which share the cores already.
                use_threads=False,
                # Names of users' columns may be equal; places are what counts.
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
                # An empty value is null, and "" an empty text.
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        ) as reader:
            yield from reader
    except pa.ArrowInvalid as exc:
        if "Empty CSV" in str(exc):
            # Nothing but a header without a line break.
            return
        if "straddling" in str(exc):
            raise PermanentError(
                f"A row is longer than {block / 1e6:.1f} MB, the most that is read at once.",
                remediation="Check that every quotation mark is closed. If the row is right, shorten its values, or "
                "write the file as UTF-8, in which longer rows can be read.",
                code="source_unreadable",
            ) from exc
        raise PermanentError(
            f"The file cannot be read as CSV: {str(exc)[:300]}.",
            remediation="Check that every quotation mark is closed, write the file again, and upload it.",
            code="source_unreadable",
        ) from exc


def check_quotes(split: CsvSplit, last: CsvRows | None) -> None:
    """Check that the last row has not swallowed others. Raises PermanentError naming the row.

    For pyarrow a value that is never closed goes on to the end of the file, and is a value like any other.
    """
    if last is None or not split.open_quote:
        return
    row = last.values.num_rows - 1
    values = [last.ragged.get(row), *(column[row].as_py() for column in last.values.columns)]
    if any(value and "\n" in value for value in values):
        raise PermanentError(
            f"A quotation mark in row {last.first + row + 1} is not closed.",
            remediation="Close it, or double it where it is part of a value, and upload the file again.",
            code="quote_not_closed",
        )


def _put_back(part: FilePart, first: int, values: pa.RecordBatch, ragged: deque[tuple[int, str]]) -> CsvRows:
    """Put null rows where ragged ones stood, and take these off the list."""
    total, places = values.num_rows, {}
    # Behind the last batch all that is left belongs to it.
    while ragged and ragged[0][0] - first < total + (values.num_rows == 0):
        row, text = ragged.popleft()
        places[row - first] = text
        total += 1
    if not places:
        return CsvRows(first, values, {}, part)
    whole = np.ones(total, np.bool_)
    whole[list(places)] = False
    indices = pa.array(np.cumsum(whole) - 1, mask=~whole)
    return CsvRows(first, values.take(indices), places, part)


def _in_batches(rows: CsvRows) -> Iterator[CsvRows]:
    for start in range(0, rows.values.num_rows, PART_ROWS):
        yield _cut(rows, start, PART_ROWS)


def _cut(rows: CsvRows, start: int, count: int) -> CsvRows:
    inside = {row - start: text for row, text in rows.ragged.items() if start <= row < start + count}
    return CsvRows(rows.first + start, rows.values.slice(start, count), inside, rows.part)
