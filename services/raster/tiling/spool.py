"""A spool: a blob that is fetched piece by piece, in large requests and ahead of its reader, into a file on this disk.

GDAL asks for one block after another and waits for each. What a tile needs is known before it is read, so it is fetched
by threads in the order in which it will be asked for, while the pixels before it are worked on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from repositories.storage.blobs import Blobs
from schema.jobs import Source
from services.raster.errors import writing
from services.raster.source.remote import RangeFile
from services.raster.tiling.striles import Range

PIECE_BYTES = 256 * 1024
"""The file is fetched in multiples of this."""
PIECES_AT_ONCE = 16
"""Of one request: 4 MB."""
FETCHERS = 2


class SpooledFile(RangeFile):
    """A blob as a file that is read by range requests into a sparse file of the same size."""

    def __init__(self, blobs: Blobs, source: Source, path: Path) -> None:
        super().__init__(blobs, source)
        self._disk = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        self._pieces: dict[int, Future[None]] = {}
        self._folder = path.parent
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="spool")

    @property
    def transferred(self) -> int:
        """Bytes that were asked for."""
        return min(len(self._pieces) * PIECE_BYTES, self.source.size)

    def fetch_ahead(self, ranges: Iterable[Range]) -> None:
        """Have ranges fetched in this order, as far as they are not there or on their way."""
        inside = ((begin, end) for begin, end in ranges if end <= self.source.size)
        self._want((piece for begin, end in inside for piece in pieces(begin, end)), self._fetchers.submit)

    def end(self) -> None:
        """Stop fetching. `close` will not do: GDAL closes a file whenever it has looked at it."""
        self._fetchers.shutdown(cancel_futures=True)
        os.close(self._disk)

    def _read(self, begin: int, end: int) -> bytes:
        wanted = pieces(begin, end)
        # What nobody foresaw does not wait for what is queued.
        self._want(wanted, _now)
        for piece in wanted:
            self._pieces[piece].result()
        return os.pread(self._disk, end - begin, begin)

    def _want(self, wanted: Iterable[int], submit: Callable[..., Future[None]]) -> None:
        """See that pieces are fetched that nobody has asked for, in runs."""
        missing = [piece for piece in dict.fromkeys(wanted) if piece not in self._pieces]
        for begin, end in runs(missing):
            for first in range(begin, end, PIECES_AT_ONCE):
                last = min(first + PIECES_AT_ONCE, end)
                self._pieces |= dict.fromkeys(range(first, last), submit(self._take, first, last))

    def _take(self, first: int, last: int) -> None:
        offset = first * PIECE_BYTES
        with writing(self._folder):
            data = self._blobs.read_range(self.source, offset, (last - first) * PIECE_BYTES)
            os.pwrite(self._disk, data, offset)


@contextmanager
def spooled(blobs: Blobs, source: Source, path: Path) -> Iterator[SpooledFile]:
    """Give a source that is fetched into a file, which is removed at the end of the block."""
    file = SpooledFile(blobs, source, path)
    try:
        yield file
    finally:
        file.end()
        path.unlink()


def _now(take: Callable[[int, int], None], first: int, last: int) -> Future[None]:
    done: Future[None] = Future()
    take(first, last)
    done.set_result(None)
    return done


def pieces(begin: int, end: int) -> range:
    """Give the pieces that a range of bytes lies in."""
    return range(begin // PIECE_BYTES, -(-end // PIECE_BYTES))


def runs(numbers: Iterable[int]) -> Iterator[Range]:
    """Join numbers that follow one another: first, last + 1 of each run. The order is kept."""
    first = last = -1
    for number in numbers:
        if number != last:
            if last > first:
                yield first, last
            first = number
        last = number + 1
    if last > first:
        yield first, last
