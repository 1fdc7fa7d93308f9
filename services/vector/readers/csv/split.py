"""The outline of a file of delimited text: where rows begin for sure, so that a part of it can be read by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from services.vector.geometry.wkb import Bytes, Integers
from services.vector.readers.csv.dialect import Dialect
from services.vector.readers.encodings import UTF16

PART_BYTES = 2**19
"""A part ends with the line that reaches this size, unless a value goes on there, or lines are plain."""
PART_ROWS = 10_000
"""A part of plain lines ends with a multiple of them: as many rows as a chunk has by default, which then reads nothing
beside its own."""
_LARGEST_PART = 4 * PART_BYTES
"""A part of plain lines that reaches this size ends with any of them."""
_LARGEST_LINE = 32 * 2**20
"""A longer line is looked at in pieces, and the file is not parted behind it."""
_MANY_BYTE = frozenset(
    ("cp932", "cp936", "cp949", "cp950", "big5", "gb2312", "gbk", "gb18030", "shift_jis", "euc_jp", "euc_kr")
)
"""Encodings in which a delimiter's byte may be a part of another character."""
_QUOTE, _NEWLINE, _RETURN = b'"'[0], b"\n"[0], b"\r"[0]


@dataclass(frozen=True)
class Outline:
    """What one look at the bytes of a file tells."""

    starts: tuple[int, ...]
    """Offsets of the parts, from 0: at each of them a row begins, or what stands before the first one."""
    longest_line: int
    """In bytes."""
    open_quote: bool
    """A quotation mark is without its partner."""


def outline(path: Path, dialect: Dialect) -> Outline:
    """Look over a file. Memory: about three times a part, or a line of at most 32 MB."""
    starts, offset, longest, line, quotes, inside = [0], 0, 0, 0, 0, False
    delimiter = ord(dialect.delimiter)
    can_part = delimiter < 128 and dialect.encoding.name not in _MANY_BYTE | {UTF16}
    # The names are a line too.
    rows = -1 - dialect.skip
    for block in _blocks(path):
        ends = np.flatnonzero(np.frombuffer(block, np.uint8) == _NEWLINE)
        line, found = _measure_lines(ends, len(block), line)
        longest = max(longest, found)
        marks = block.count(_QUOTE)
        quotes += marks
        # Only where lines end is known what a mark at the beginning of the next block means.
        can_part &= block.endswith(b"\n")
        if can_part:
            plain = not (marks or inside)
            inside = is_open_after(block, delimiter, is_open=inside)
            places = _find_rows(ends, rows, offset - starts[-1]) if plain else [len(block)]
            if places and not inside and (len(starts) > 1 or _has_header(block[: places[0]], dialect)):
                starts += [offset + place for place in places]
        rows += len(ends)
        offset += len(block)
    return Outline(tuple(start for start in starts if start < max(offset, 1)), longest, quotes % 2 == 1)


def _find_rows(ends: Integers, rows: int, begun: int) -> list[int]:
    """Find the places in a block of plain lines at which parts begin.

    `ends` are the places of the lines' ends, `rows` and `begun` the rows of the file (below 0 in its head) and the
    bytes of the part before the block.
    """
    first = PART_ROWS - 1 - (rows % PART_ROWS if rows > 0 else rows)
    places: list[int] = (ends[first::PART_ROWS] + 1).tolist()
    end = int(ends[-1]) + 1
    return places or ([end] if begun + end >= _LARGEST_PART else [])


def is_open_after(block: bytes, delimiter: int, *, is_open: bool) -> bool:
    """Tell whether a quoted value goes on behind a block of whole lines; `is_open` tells of the place before it.

    As pyarrow and RFC 4180 have it: a mark opens a value only at its beginning, two of them in a quoted value are one,
    and what follows the closing mark is text.
    """
    count = block.count(_QUOTE)
    if not count:
        return is_open
    data = np.frombuffer(block, np.uint8)
    marks = np.flatnonzero(data == _QUOTE)
    if _are_regular(data, marks[int(is_open) :: 2], marks[int(not is_open) :: 2], delimiter):
        return is_open ^ bool(count % 2)
    return _follow(block, marks.tolist(), delimiter, is_open=is_open)


def _are_regular(data: Bytes, opening: Integers, closing: Integers, delimiter: int) -> bool:
    """Tell whether marks open and close by turns: each beside a delimiter, a line's end or another mark."""
    # The block begins and ends where a line does.
    before = np.where(opening > 0, data[opening - 1], _NEWLINE)
    after = np.where(closing + 1 < len(data), data[(closing + 1) % len(data)], _NEWLINE)
    return all(np.isin(beside, (_QUOTE, _NEWLINE, _RETURN, delimiter)).all() for beside in (before, after))


def _follow(block: bytes, marks: list[int], delimiter: int, *, is_open: bool) -> bool:
    """Go from mark to mark, where some of them are no more than text."""
    before = (_NEWLINE, _RETURN, delimiter)
    second = -1
    for place in marks:
        if place == second:
            continue
        if not is_open:
            is_open = place == 0 or block[place - 1] in before
        elif block[place + 1 : place + 2] == b'"':
            second = place + 1
        else:
            is_open = False
    return is_open


def _has_header(block: bytes, dialect: Dialect) -> bool:
    """Tell whether the row of names stands in the first block; lines without a word may come before it."""
    return sum(1 for line in block.splitlines() if line.strip()) > dialect.skip


def _measure_lines(ends: Integers, size: int, begun: int) -> tuple[int, int]:
    """Give the bytes of the line that goes on behind a block of a size, and of the longest.

    `ends` are the places of the lines' ends in it; `begun` bytes of the first line lie before it.
    """
    if not len(ends):
        return begun + size, begun + size
    going_on = size - 1 - int(ends[-1])
    return going_on, max(begun + int(ends[0]), int(np.diff(ends).max(initial=0)), going_on)


def _blocks(path: Path) -> Iterator[bytes]:
    """Give the file in pieces that end where a line does, if lines are not beyond all measure."""
    with path.open("rb") as file:
        while block := file.read(PART_BYTES):
            yield block + file.readline(_LARGEST_LINE)
