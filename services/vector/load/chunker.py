"""Where chunks begin and end: by their rows, and by the size of their geometries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from services.vector.geometry.wkb import Integers

MAX_CHUNK_BYTES = 32 * 1024 * 1024
"""A chunk also closes at this much geometry: an upload task holds the rows of its chunk in memory, several times."""


@dataclass(frozen=True)
class Slice:
    """The part of a batch that belongs to the open chunk."""

    start: int
    """Row within the batch."""
    rows: int
    closes: bool
    """The chunk is full after these rows."""


class Chunker:
    """Cuts a stream of batches into chunks, keeping only the open chunk's figures."""

    def __init__(self, max_rows: int, max_bytes: int = MAX_CHUNK_BYTES) -> None:
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._rows = 0
        self._bytes = 0

    def cut(self, sizes: Integers) -> Iterator[Slice]:
        """Yield the slices of a batch, in order, for the chunks that they belong to.

        A chunk holds at least one row, and closes with the row that fills it.

        Parameters
        ----------
        sizes
            Bytes of each geometry of the batch, shape (n,).
        """
        totals = np.cumsum(sizes)
        start = 0
        while start < len(sizes):
            before = int(totals[start - 1]) if start else 0
            # The first row at which the chunk is full: a row larger than a chunk makes one of its own.
            full = int(np.searchsorted(totals, before + self._max_bytes - self._bytes)) + 1
            rows = min(self._max_rows - self._rows, full - start, len(sizes) - start)
            self._rows += rows
            self._bytes += int(totals[start + rows - 1]) - before
            closes = self._rows >= self._max_rows or self._bytes >= self._max_bytes
            if closes:
                self._rows = self._bytes = 0
            yield Slice(start, rows, closes)
            start += rows
