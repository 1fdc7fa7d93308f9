"""The source of a raster task: opened where it is by range requests, or downloaded to this instance.

GDAL reads it through a file interface in Python and not by /vsicurl or /vsiaz: no key or SAS ever reaches GDAL, each
request has its If-Match, and a raster that is too large is refused before it is downloaded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.io import DatasetReader

from repositories.storage.blobs import Blobs
from schema.errors import GeostageError, PermanentError
from schema.jobs import Source
from services.content_encoding import check_encoding
from services.raster import errors
from services.raster.source.gdal import check_references, open_tiff

PART_BYTES = 64 * 1024
"""A header is read in pieces of a few bytes; each request fetches this much around them."""
KEPT_PARTS = 64
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""TIFF and BigTIFF, in both byte orders."""
_NAME = "source.tif"


class RangeFile:
    """A blob as a file that is read by range requests; the last KEPT_PARTS parts are kept.

    GDAL opens it more than once, and each opening has a position of its own: see Opening.
    """

    def __init__(self, blobs: Blobs, source: Source) -> None:
        self._blobs = blobs
        self.source = source
        self._parts: OrderedDict[int, bytes] = OrderedDict()
        self.error: GeostageError | None = None
        """Why a read failed. GDAL is told by too few bytes: rasterio's callback prints an exception and goes on."""

    def bytes_of(self, begin: int, end: int) -> bytes:
        """Return a range of bytes; none when they cannot be read, and the reason as `error`."""
        try:
            return self._read(begin, end)
        except GeostageError as exc:
            self.error = exc
            return b""

    def _read(self, begin: int, end: int) -> bytes:
        # Pixels are read once, and would push the header out of the kept parts.
        if end - begin > PART_BYTES:
            return self._blobs.read_range(self.source, begin, end - begin)
        first, last = begin // PART_BYTES, (end - 1) // PART_BYTES
        for number in range(first, last + 1):
            if number not in self._parts:
                self._parts[number] = self._blobs.read_range(self.source, number * PART_BYTES, PART_BYTES)
            self._parts.move_to_end(number)
        data = b"".join(self._parts[number] for number in range(first, last + 1))
        while len(self._parts) > KEPT_PARTS:
            self._parts.popitem(last=False)
        return data[begin - first * PART_BYTES : end - first * PART_BYTES]


class Opening:
    """One opening of a RangeFile, as GDAL reads it: a position in the file."""

    def __init__(self, file: RangeFile) -> None:
        self._file = file
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Return the bytes from the current position on; too few when they cannot be read."""
        end = self._file.source.size if size < 0 else min(self._at + size, self._file.source.size)
        data = self._file.bytes_of(self._at, end) if end > self._at else b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move the position and return it, as io.RawIOBase does."""
        self._at = offset + (0, self._at, self._file.source.size)[whence]
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def get_byte_ranges(self, offsets: list[int], sizes: list[int]) -> list[bytes]:
        """Return several ranges, as rasterio's MultiByteRangeResource asks for them."""
        return [self._file.bytes_of(offset, offset + size) for offset, size in zip(offsets, sizes, strict=True)]

    def close(self) -> None:
        """Do nothing: GDAL closes a file after each look at it, and opens it again."""

    def __enter__(self) -> Opening:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class _Opener(MultiByteRangeResourceContainer):  # type: ignore[misc]
    """What rasterio asks when GDAL opens a file: there is only this one, without siblings."""

    def __init__(self, file: RangeFile, size: int) -> None:
        self._file = file
        self._size = size

    def open(self, path: str, mode: str = "r", **options: object) -> Opening:
        del path, mode, options
        return Opening(self._file)

    def isfile(self, path: str) -> bool:
        return path.endswith(_NAME)

    def isdir(self, path: str) -> bool:
        del path
        return False

    def ls(self, path: str) -> list[str]:
        del path
        return []

    def mtime(self, path: str) -> int:
        del path
        return 0

    def size(self, path: str) -> int:
        del path
        return self._size

    def rm(self, path: str) -> None:
        raise PermissionError(path)


@contextmanager
def open_remote(blobs: Blobs, source: Source, file: RangeFile | None = None) -> Iterator[DatasetReader]:
    """Open a source where it is, so that only what is read is transferred. The dataset is not for several threads.

    `file` reads the source in a way of its own, see tiling.spool.

    Raises
    ------
    PermanentError
        The blob is empty, is not a TIFF, has a damaged header or a Content-Encoding, or names another file.
    SourceChanged
        The blob is not the one that the job was accepted for.
    """
    check_encoding(source, by_ranges=True)
    file = file or RangeFile(blobs, source)
    head = file.bytes_of(0, min(64, source.size))
    try:
        if not file.error:
            check_magic(source.label, head)
            with (
                errors.reading(source.label),
                rasterio.open(_NAME, driver="GTiff", NUM_THREADS="1", opener=_Opener(file, source.size)) as dataset,
            ):
                check_references(source.label, dataset)
                yield dataset
    except PermanentError as exc:
        if file.error:
            raise file.error from exc
        raise
    if file.error:
        raise file.error


def fetch(blobs: Blobs, source: Source, folder: Path) -> Path:
    """Download a source into a folder and return its path there. Raises SourceChanged, DiskFull."""
    path = folder / _NAME
    with errors.writing(folder):
        blobs.download(source, path)
    return path


@contextmanager
def open_fetched(label: str, path: Path) -> Iterator[DatasetReader]:
    """Open what `fetch` returned. Raises PermanentError when GDAL cannot read something within the block."""
    with errors.reading(label), open_tiff(path) as dataset:
        check_references(label, dataset)
        yield dataset


def check_magic(label: str, head: bytes) -> None:
    """Check that a file begins like a TIFF. Raises PermanentError file_empty, wrong_format."""
    if not head:
        raise errors.file_empty(label=label)
    if head.startswith(MAGIC):
        return
    raise errors.not_a_geotiff(label=label, head=head)
