r"""Where a CSV file can be split: places at which a row begins for sure, so that every part can be read by itself.

A line break ends a row unless it stands within a quoted value, and whether it does depends on all quotation marks
before it. So all bytes are looked at once, from the front, in blocks that end where a line does:

    a,b,c\n           the header belongs to the first part
    1,2,"x\n          a quoted value is open at the end of this line: no split behind it
    y"\n              here it is closed: a row can begin
    3,5" pipe,4\n     this mark is not at the beginning of a value, so it is text and opens nothing
    6,7,8\n           a block without any mark is plain: its lines are its rows

A block with marks is split at its end, if no value is open there. Plain blocks are split behind each multiple of
PART_ROWS rows, which is the default size of a chunk: a task then parses the rows of its chunk and no others. In UTF-16,
and in encodings with several bytes a character, a byte that looks like a mark may be half of a character; such a file
stays whole, and each task reads it from the front.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.vector.geometry.wkb import Bytes, Integers
from services.vector.readers.csv.dialect import Dialect
from services.vector.readers.encodings import MULTI_BYTE, UTF16

PART_BYTES = 2**19
"""A part with quotation marks ends with the line that reaches this size, unless a value is open there."""
PART_ROWS = 10_000
"""A part of plain lines ends with a multiple of this."""
_QUOTE, _NEWLINE, _RETURN = b'"'[0], b"\n"[0], b"\r"[0]


@dataclass(frozen=True)
class SplitLimits:
    """Sizes that decide where a file is split."""

    part_bytes: int = PART_BYTES
    part_rows: int = PART_ROWS
    largest_part: int = 4 * PART_BYTES
    """A part of plain lines that reaches this size ends with any of them: rows may be long, and a part is parsed whole.
    """
    largest_line: int = 32 * 2**20
    """A longer line is read in pieces, so that memory has a limit; the file is not split behind it."""


LIMITS = SplitLimits()


@dataclass(frozen=True)
class CsvSplit:
    """The parts of a file, and what else one look at its bytes shows."""

    starts: tuple[int, ...]
    """Byte offsets of the parts, from 0: a row begins at each of them but the first, where the header may."""
    longest_line: int
    """In bytes."""
    open_quote: bool
    """The number of quotation marks is odd."""


def has_clear_bytes(dialect: Dialect) -> bool:
    """Whether each byte that looks like a delimiter, quotation mark or line break is one."""
    return ord(dialect.delimiter) < 128 and dialect.encoding.name not in MULTI_BYTE | {UTF16}


def split_csv(path: Path, dialect: Dialect, limits: SplitLimits = LIMITS) -> CsvSplit:
    """Find the parts of a file. Memory: about three times a part, or a line of at most 32 MB."""
    starts, offset, longest, line, quotes, is_open = [0], 0, 0, 0, 0, False
    delimiter = ord(dialect.delimiter)
    can_split = has_clear_bytes(dialect)
    # Below 0 in the lines before the first row, of which the header is one.
    rows = -1 - dialect.skip
    with path.open("rb") as file:
        while block := file.read(limits.part_bytes) + file.readline(limits.largest_line):
            ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE)
            line, longest_in_block = _measure_lines(ends, len(block), line)
            longest = max(longest, longest_in_block)
            marks = block.count(_QUOTE)
            quotes += marks
            # Within a line, what a mark at the beginning of the next block means is unknown, there and from there on.
            can_split &= block.endswith(b"\n")
            if can_split:
                is_plain = not (marks or is_open)
                is_open = is_open_after(block, delimiter, is_open=is_open)
                places = _split_plain(ends, rows, offset - starts[-1], limits) if is_plain else [len(block)]
                # The header stays in the first part; empty lines may come before it.
                lines = [] if len(starts) > 1 else block[: sum(places[:1])].splitlines()
                has_header = len(starts) > 1 or sum(map(bool, map(bytes.strip, lines))) > dialect.skip
                if places and not is_open and has_header:
                    starts += [offset + place for place in places]
            rows += len(ends)
            offset += len(block)
    return CsvSplit(tuple(start for start in starts if start < max(offset, 1)), longest, quotes % 2 == 1)


def _split_plain(ends: Integers, rows: int, begun: int, limits: SplitLimits) -> list[int]:
    """Find the places in a block of plain lines at which parts begin.

    Parameters
    ----------
    ends
        Offsets of the line breaks in the block.
    rows
        Rows of the file before the block, below 0 before the first row.
    begun
        Bytes of the current part before the block.
    """
    first = limits.part_rows - 1 - (rows % limits.part_rows if rows > 0 else rows)
    places: list[int] = (ends[first :: limits.part_rows] + 1).tolist()
    end = int(ends[-1]) + 1
    return places or ([end] if begun + end >= limits.largest_part else [])


def is_open_after(block: bytes, delimiter: int, *, is_open: bool) -> bool:
    """Whether a quoted value is open behind a block of whole lines; `is_open` says whether one is before it.

    The rules are those of RFC 4180 as pyarrow reads it: a mark opens a value only at its beginning, two marks within a
    quoted value are one, and what follows the closing mark is text.
    """
    if b'"' not in block:
        return is_open
    data = np.frombuffer(block, np.uint8)
    marks = np.flatnonzero(data == _QUOTE)
    # Whole arrays suffice for what programs write; marks that are text need a walk from one to the next.
    if alternate(data, marks[int(is_open) :: 2], marks[int(not is_open) :: 2], delimiter):
        return is_open ^ bool(len(marks) % 2)
    second = -1
    for place in marks.tolist():
        if place == second:
            continue
        if not is_open:
            is_open = place == 0 or block[place - 1] in (_NEWLINE, _RETURN, delimiter)
        elif block[place + 1 : place + 2] == b'"':
            second = place + 1
        else:
            is_open = False
    return is_open


def alternate(data: Bytes, opening: Integers, closing: Integers, delimiter: int) -> bool:
    """Whether marks open and close values by turns: each stands beside a delimiter, a line break or another mark."""
    # Before the block and behind it stands a line break.
    before = np.where(opening > 0, data[opening - 1], _NEWLINE)
    after = np.where(closing + 1 < len(data), data[(closing + 1) % len(data)], _NEWLINE)
    return all(np.isin(beside, (_QUOTE, _NEWLINE, _RETURN, delimiter)).all() for beside in (before, after))


def _measure_lines(ends: Integers, size: int, begun: int) -> tuple[int, int]:
    """Return the length of the line that a block leaves open, and of its longest line, both in bytes.

    Parameters
    ----------
    ends
        Offsets of the line breaks in the block.
    size
        Bytes of the block.
    begun
        Bytes of its first line that lie before it.
    """
    if not len(ends):
        return begun + size, begun + size
    left_open = size - 1 - int(ends[-1])
    return left_open, max(begun + int(ends[0]), int(np.diff(ends).max(initial=0)), left_open)
