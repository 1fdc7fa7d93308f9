"""The number of rows of a CSV file by its bytes, without the parser that returns the rows."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from services.vector.readers.csv.dialect import Dialect
from services.vector.readers.csv.split import alternate, has_clear_bytes
from services.vector.row_count import RowCount

BLOCK_BYTES = 2**20
_LONGEST_VALUE = 2**31 - 1
_QUOTE, _NEWLINE, _RETURN = b'"'[0], b"\n"[0], b"\r"[0]


def count_rows(path: Path, dialect: Dialect, rows: int, *, block_bytes: int = BLOCK_BYTES) -> tuple[RowCount, ...]:
    """Count the lines that are not blank, without the header and the line breaks within quoted values."""
    del rows
    lines = _count_lines(path, dialect, block_bytes) if has_clear_bytes(dialect) else None
    if lines is None:
        lines = _count_read(path, dialect)
    return (RowCount(max(lines - dialect.skip - 1, 0), "its lines"),)


def _count_lines(path: Path, dialect: Dialect, block_bytes: int) -> int | None:
    """Count in arrays of a block; None for a file with marks within values, or with line breaks of a lone CR."""
    lines, is_open, last = 0, False, b""
    with path.open("rb") as file:
        while block := file.read(block_bytes) + file.readline():
            found = _count_in(block, ord(dialect.delimiter), is_open=is_open)
            if found is None:
                return None
            lines += found
            is_open ^= bool(block.count(b'"') % 2)
            last = block[-1:]
    # A value that is never closed takes the rest of the file into its row.
    return lines + (is_open and last == b"\n")


def _count_in(block: bytes, delimiter: int, *, is_open: bool) -> int | None:
    """Count the lines of a block that are not blank and do not end within a value."""
    if b'"' not in block and not is_open:
        # Three times as fast as with arrays; CR alone ends a line here as well.
        return sum(map(bool, block.splitlines()))
    data = np.frombuffer(block, np.uint8)
    is_mark = data == _QUOTE
    marks = np.flatnonzero(is_mark)
    if not alternate(data, marks[int(is_open) :: 2], marks[int(not is_open) :: 2], delimiter):
        return None
    inside = (np.cumsum(is_mark) + is_open) % 2 == 1
    returns = np.flatnonzero((data == _RETURN) & ~inside)
    if (data[np.minimum(returns + 1, len(data) - 1)] != _NEWLINE).any():
        return None
    ends = np.flatnonzero((data == _NEWLINE) & ~inside)
    lengths = np.diff(ends, prepend=-1) - 1
    lengths -= (lengths > 0) & (data[ends - 1] == _RETURN)
    # A block ends with a line, so what does not is the end of the file.
    return int((lengths > 0).sum()) + (not block.endswith(b"\n"))


def _count_read(path: Path, dialect: Dialect) -> int:
    """Count with Python's own reader, which parses one value after the other: 50 MB a second."""
    csv.field_size_limit(_LONGEST_VALUE)
    with path.open(encoding=dialect.encoding.name, errors="replace", newline="") as file:
        return sum(1 for row in csv.reader(file, delimiter=dialect.delimiter) if row)
