"""A spool: the parts of a blob that a tile needs, downloaded into a sparse file on this disk before GDAL reads them.

GDAL asks for one block at a time and waits for each. But the TIFF's index shows which bytes a tile needs before any
pixel is read. Two threads download them, in the order in which GDAL will ask for them, in requests of up to 4 MB.
Meanwhile the pixels that have arrived are warped. A read that was not foreseen is downloaded when it happens, so a
wrong guess costs time and never a pixel.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from repositories.storage.blobs import Blobs
from schema.jobs import Source
from services.raster.errors import writing
from services.raster.source.remote import RangeFile
from services.raster.tiling.block_ranges import Range

PIECE_BYTES = 256 * 1024
"""The blob is downloaded in multiples of this."""
PIECES_AT_ONCE = 16
"""The most of one request: 4 MB."""
FETCHERS = 2
"""Threads that download ahead. Together they hold 8 MB."""


class SpooledFile(RangeFile):
    """A blob as a file, whose pieces are downloaded to their own places in a sparse file on disk."""

    def __init__(
        self, blobs: Blobs, source: Source, path: Path, piece_bytes: int = PIECE_BYTES, at_once: int = PIECES_AT_ONCE
    ) -> None:
        super().__init__(blobs, source)
        self._piece_bytes, self._at_once = piece_bytes, at_once
        self._disk = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        # The download of each piece by its number, done or under way. Only the reader's thread changes the dictionary.
        self._pieces: dict[int, Future[None]] = {}
        self._folder = path.parent
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="spool")

    @property
    def transferred(self) -> int:
        """Bytes that were requested so far."""
        return min(len(self._pieces) * self._piece_bytes, self.source.size)

    def fetch_ahead(self, ranges: Iterable[Range]) -> None:
        """Start to download ranges, in this order; what has been requested before is left out."""
        # The index of a damaged file may point beyond its end; GDAL will report that when it reads there.
        inside = ((begin, end) for begin, end in ranges if end <= self.source.size)
        for first, last in self._missing(piece for begin, end in inside for piece in self._pieces_of(begin, end)):
            self._pieces |= dict.fromkeys(range(first, last), self._fetchers.submit(self._download, first, last))

    def end(self) -> None:
        """Stop downloading. `close` cannot do that: GDAL closes and reopens the file while it still needs it."""
        self._fetchers.shutdown(cancel_futures=True)
        os.close(self._disk)

    def _read(self, begin: int, end: int) -> bytes:
        wanted = self._pieces_of(begin, end)
        # Not through the threads: what was not foreseen would wait behind all that is fetched ahead.
        for first, last in self._missing(wanted):
            self._download(first, last)
            done: Future[None] = Future()
            done.set_result(None)
            self._pieces |= dict.fromkeys(range(first, last), done)
        for piece in wanted:
            # Waits for a download that is under way, and raises what made it fail.
            self._pieces[piece].result()
        return os.pread(self._disk, end - begin, begin)

    def _pieces_of(self, begin: int, end: int) -> range:
        return pieces(begin, end, self._piece_bytes)

    def _missing(self, wanted: Iterable[int]) -> Iterator[Range]:
        """Yield the pieces that nobody has requested, as first and last + 1 of each request."""
        missing = [piece for piece in dict.fromkeys(wanted) if piece not in self._pieces]
        for begin, end in runs(missing):
            for first in range(begin, end, self._at_once):
                yield first, min(first + self._at_once, end)

    def _download(self, first: int, last: int) -> None:
        offset = first * self._piece_bytes
        with writing(self._folder):
            data = self._blobs.read_range(self.source, offset, (last - first) * self._piece_bytes)
            os.pwrite(self._disk, data, offset)


@contextmanager
def spooled(
    blobs: Blobs, source: Source, path: Path, piece_bytes: int = PIECE_BYTES, at_once: int = PIECES_AT_ONCE
) -> Iterator[SpooledFile]:
    """Spool a source into the file `path`, which is removed at the end of the block."""
    file = SpooledFile(blobs, source, path, piece_bytes, at_once)
    try:
        yield file
    finally:
        file.end()
        path.unlink()


def pieces(begin: int, end: int, piece_bytes: int = PIECE_BYTES) -> range:
    """Return the numbers of the pieces that a range of bytes lies in; `end` is the last byte + 1."""
    return range(begin // piece_bytes, -(-end // piece_bytes))


def runs(numbers: Iterable[int]) -> Iterator[Range]:
    """Yield runs of numbers that follow one another, as first and last + 1, in the given order."""
    first = last = -1
    for number in numbers:
        if number != last:
            if last > first:
                yield first, last
            first = number
        last = number + 1
    if last > first:
        yield first, last
