"""The source of a raster task: looked at by range requests, then fetched to this instance."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.abc import MultiByteRangeResourceContainer
from rasterio.io import DatasetReader

from repositories.blobs import Blobs
from schema.errors import GeostageError, PermanentError
from schema.jobs import Source
from services.content_encoding import check_encoding
from services.context import TaskContext
from services.raster import errors
from services.raster.facts import RasterFacts, facts_of
from services.raster.gdal import check_references, open_tiff

PART_BYTES = 64 * 1024
KEPT_PARTS = 64
MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""TIFF and BigTIFF, in both byte orders."""
_NAME = "source.tif"


class RangeFile:
    """A blob as a file that is read by range requests, in parts that are kept a while."""

    def __init__(self, blobs: Blobs, source: Source) -> None:
        self._blobs = blobs
        self.source = source
        self._parts: OrderedDict[int, bytes] = OrderedDict()
        self._at = 0
        self.error: GeostageError | None = None
        """What made a read fail: GDAL, which calls it, must be told by too few bytes, and swallows what is raised."""

    def read(self, size: int = -1) -> bytes:
        """Read from the current place."""
        end = self.source.size if size < 0 else min(self._at + size, self.source.size)
        data = self._try(self._at, end) if end > self._at else b""
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self._at = offset + (0, self._at, self.source.size)[whence]
        return self._at

    def tell(self) -> int:
        """Tell the place."""
        return self._at

    def get_byte_ranges(self, offsets: list[int], sizes: list[int]) -> list[bytes]:
        """Read several parts at once."""
        return [self._try(offset, offset + size) for offset, size in zip(offsets, sizes, strict=True)]

    def close(self) -> None:
        """Nothing is open."""

    def __enter__(self) -> RangeFile:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _try(self, begin: int, end: int) -> bytes:
        try:
            return self._read(begin, end)
        except GeostageError as exc:
            self.error = exc
            return b""

    def _read(self, begin: int, end: int) -> bytes:
        if end - begin > PART_BYTES:
            return self._fetch(begin, end - begin)
        first, last = begin // PART_BYTES, (end - 1) // PART_BYTES
        data = b"".join(self._part(number) for number in range(first, last + 1))
        return data[begin - first * PART_BYTES : end - first * PART_BYTES]

    def _part(self, number: int) -> bytes:
        if number not in self._parts:
            self._parts[number] = self._fetch(number * PART_BYTES, PART_BYTES)
            if len(self._parts) > KEPT_PARTS:
                self._parts.popitem(last=False)
        self._parts.move_to_end(number)
        return self._parts[number]

    def _fetch(self, offset: int, length: int) -> bytes:
        return self._blobs.read_range(self.source, offset, length)


class _Opener(MultiByteRangeResourceContainer):  # type: ignore[misc]
    """What rasterio asks when GDAL opens a file: there is one, and it has no siblings."""

    def __init__(self, file: RangeFile, size: int) -> None:
        self._file = file
        self._size = size

    def open(self, path: str, mode: str = "r", **options: object) -> RangeFile:
        del path, mode, options
        self._file.seek(0)
        return self._file

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


def source_of(ctx: TaskContext) -> Source:
    """Give the task's source, which every raster task has."""
    if ctx.source is None:
        raise PermanentError("The job has no source.", remediation="Submit it with dataset_id and resource_id.")
    return ctx.source


def label_of(source: Source) -> str:
    """Name a source in messages."""
    return f"{source.container}/{source.blob}"


@contextmanager
def open_remote(blobs: Blobs, source: Source, file: RangeFile | None = None) -> Iterator[DatasetReader]:
    """Open a source where it is; only what is read is transferred, by `file` if one is given. Not for several threads.

    Raises
    ------
    PermanentError
        No bytes, no TIFF, a damaged header, a Content-Encoding, or another file that it names.
    SourceChanged
        The blob is not the one that was accepted.
    """
    check_encoding(source, by_ranges=True)
    file = file or RangeFile(blobs, source)
    head = file.read(64)
    try:
        if not file.error:
            check_magic(label_of(source), head)
            with (
                errors.reading(label_of(source)),
                rasterio.open(_NAME, driver="GTiff", NUM_THREADS="1", opener=_Opener(file, source.size)) as dataset,
            ):
                check_references(label_of(source), dataset)
                yield dataset
    except PermanentError as exc:
        if file.error:
            raise file.error from exc
        raise
    if file.error:
        raise file.error


def look(ctx: TaskContext) -> RasterFacts:
    """Read the header of the task's source, by range requests."""
    with open_remote(ctx.blobs, source_of(ctx)) as dataset:
        return facts_of(dataset)


def fetch(ctx: TaskContext) -> Path:
    """Download the task's source into its work folder. Raises SourceChanged, DiskFull."""
    path = ctx.work_folder / _NAME
    with errors.writing(ctx.work_folder):
        ctx.blobs.download(source_of(ctx), path)
    ctx.check()
    return path


@contextmanager
def open_fetched(ctx: TaskContext, path: Path) -> Iterator[DatasetReader]:
    """Open what fetch gave. Raises PermanentError for what GDAL cannot read in the block."""
    label = label_of(source_of(ctx))
    with errors.reading(label), open_tiff(path) as dataset:
        check_references(label, dataset)
        yield dataset


def check_magic(label: str, head: bytes) -> None:
    """See that a file begins as a TIFF does. Raises PermanentError."""
    if not head:
        raise errors.file_empty(label)
    if not head.startswith(MAGIC):
        raise errors.not_a_geotiff(label, _looks_like(head))


def _looks_like(head: bytes) -> str:
    known = {
        b"<VRTDataset": "a GDAL virtual raster (VRT)",
        b"\x89PNG": "a PNG image",
        b"\xff\xd8\xff": "a JPEG image",
        b"\0\0\0\x0cjP": "a JPEG 2000 image",
        b"\x89HDF": "an HDF5 or NetCDF file",
        b"CDF": "a NetCDF file",
        b"PK\x03\x04": "a ZIP archive",
        b"SQLite format 3": "a GeoPackage",
        b"<": "XML or HTML",
    }
    found = next((name for magic, name in known.items() if head.lstrip().startswith(magic)), None)
    if found:
        return found
    return "text" if head.isascii() and b"\0" not in head else "an unknown binary format"
