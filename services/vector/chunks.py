"""Chunks: which rows of the source one upload task loads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

import numpy as np

from schema.jobs import Json
from services.vector.geometry.wkb import Integers

MAX_CHUNK_BYTES = 32 * 1024 * 1024
"""A chunk also closes at this much geometry."""


@dataclass(frozen=True)
class Chunk:
    """A run of rows of the source, in its order."""

    first_row: int
    """1-based row number in the source."""
    rows: int
    first_fid: int
    """The reader's own number of the first row; with `last_fid` it finds the rows again, and proves that it did."""
    last_fid: int
    blob: str | None = None
    """The chunk itself in the work container, for formats that are read from the front."""
    part: tuple[int, int, int] = (0, 0, 0)
    """For delimited text: the bytes, from and to, that hold the rows and perhaps others, and the 0-based number of the
    row that begins there."""

    def as_json(self) -> Json:
        """Give the chunk as JSON."""
        return asdict(self)


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
        """Say how a batch is shared out; `sizes` are the bytes of its geometries.

        A chunk holds at least one row, and closes with the row that fills it.
        """
        totals = np.cumsum(sizes)
        start = 0
        while start < len(sizes):
            before = int(totals[start - 1]) if start else 0
            full = int(np.searchsorted(totals, before + self._max_bytes - self._bytes)) + 1
            rows = min(self._max_rows - self._rows, full - start, len(sizes) - start)
            self._rows += rows
            self._bytes += int(totals[start + rows - 1]) - before
            closes = self._rows >= self._max_rows or self._bytes >= self._max_bytes
            if closes:
                self._rows = self._bytes = 0
            yield Slice(start, rows, closes)
            start += rows
