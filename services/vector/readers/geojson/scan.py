"""Brackets and commas of JSON that stand outside of texts, found in blocks of bytes without parsing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from services.vector.geometry.wkb import Bytes, Integers

_ESCAPE = re.compile(rb"\\.", re.DOTALL)
QUOTE, COMMA, OPEN, CLOSE = (ord(mark) for mark in '",[]')
_TURNS = np.zeros(256, np.int8)
_TURNS[[OPEN, ord("{")]] = 1
_TURNS[[CLOSE, ord("}")]] = -1
_IS_MARK = _TURNS != 0
_IS_MARK[[QUOTE, COMMA]] = True
# Arrays of a block's marks are some 20 times its size at worst.
_SLICE = 2**20


class Scanner:
    """Follows the depth of brackets through blocks that are fed one after the other."""

    def __init__(self) -> None:
        self.depth = 0
        """Behind the last block: open brackets of both kinds."""
        self._offset = 0
        self._inside = 0
        self._held = b""

    def feed(self, data: bytes) -> tuple[Integers, Bytes, npt.NDArray[np.int64]]:
        """Return offset, byte and depth of each bracket and comma outside of texts, as arrays of shape (n,).

        Offsets count from the first byte that was ever fed. The depth is that behind the mark: an opening bracket is
        as deep as what stands within it.
        """
        data = self._held + data
        # A block must not end within an escape: an odd backslash waits for the byte behind it.
        whole = len(data) - (len(data) - len(data.rstrip(b"\\"))) % 2
        data, self._held = data[:whole], data[whole:]
        # An escaped quotation mark neither opens nor closes a text.
        values = np.frombuffer(_ESCAPE.sub(b"__", data) if b"\\" in data else data, np.uint8)
        places = np.flatnonzero(_IS_MARK[values])
        marks = values[places]
        is_quote = marks == QUOTE
        quotes = np.cumsum(is_quote) + self._inside
        outside = ~is_quote & (quotes % 2 == 0)
        places, marks = places[outside], marks[outside]
        depths = self.depth + np.cumsum(_TURNS[marks], dtype=np.int64)
        found = places + self._offset, marks, depths
        self._offset += len(data)
        self._inside = int(quotes[-1]) % 2 if len(quotes) else self._inside
        self.depth = int(depths[-1]) if len(depths) else self.depth
        return found


def find_separators(text: bytes) -> tuple[list[int], int | None]:
    """Return the offsets of the commas between the elements of an array, and that of the bracket that closes it.

    Parameters
    ----------
    text
        What stands in the array, from its first element on; it may go on behind the array, or end within it.

    Returns
    -------
    tuple
        None for the bracket when it is not in the text. About 150 MB a second, and a few MB of memory.
    """
    commas: list[int] = []
    for places, marks, depths in _fed(text):
        closing = np.flatnonzero(depths < 0)
        end = int(closing[0]) if len(closing) else len(places)
        commas += places[:end][(marks[:end] == COMMA) & (depths[:end] == 0)].tolist()
        if len(closing):
            return commas, int(places[end])
    return commas, None


def find_elements(text: bytes) -> list[tuple[int, int]]:
    """Return where each element of an array begins and ends, given what stands between its brackets."""
    commas, _ = find_separators(text)
    return list(zip([0, *(comma + 1 for comma in commas)], [*commas, len(text)], strict=True))


def _fed(text: bytes) -> Iterator[tuple[Integers, Bytes, npt.NDArray[np.int64]]]:
    scanner = Scanner()
    for start in range(0, len(text), _SLICE):
        yield scanner.feed(text[start : start + _SLICE])
