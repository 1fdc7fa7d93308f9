"""GDAL's settings for one task, and the only two ways in which Geostage opens a raster."""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.env import get_gdal_config
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

CACHE_BYTES = 64_000_000
"""GDAL's block cache: holds the strips that a row of blocks needs, see plan.needs_tiles. rasterio takes bytes."""
WRITE_CACHE_BYTES = 32_000_000
_OPTIONS = {
    # No file beside the one that was named is looked at, read or written.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "VRT_VIRTUAL_OVERVIEWS": "NO",
}


@contextmanager
def gdal_environment(cache_bytes: int = CACHE_BYTES) -> Iterator[None]:
    """Set GDAL up for the block: small caches, nothing but the named file."""
    with warnings.catch_warnings():
        # Whether a raster has a place is judged in facts.py.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _give_back()
        with rasterio.Env(GDAL_CACHEMAX=cache_bytes, **_OPTIONS):
            yield


def _give_back() -> None:
    """Give freed memory back to the system: glibc keeps what each of GDAL's threads had, step by step, job by job."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def threads() -> str:
    """Give the number of threads for (de)compression: GDAL_NUM_THREADS where the deployment sets it."""
    return str(get_gdal_config("GDAL_NUM_THREADS") or "ALL_CPUS")


@contextmanager
def open_tiff(path: Path) -> Iterator[DatasetReader]:
    """Open a local file as GeoTIFF and as nothing else: other drivers can refer to other files and hosts."""
    # With threads of its own GDAL reports a damaged block once, and then gives it from its cache as if it were whole.
    with rasterio.open(path, driver="GTiff", NUM_THREADS="1") as dataset:
        yield dataset
