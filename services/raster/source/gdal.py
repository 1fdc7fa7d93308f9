"""GDAL's settings for one task, and how a local raster is opened; remote.py opens remote ones."""

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
"""Of GDAL's block cache, in bytes, as rasterio passes it on. It holds the strips under a row of blocks, see
plan.needs_tiles."""
WRITE_CACHE_BYTES = 32_000_000
"""While a COG is written: pixels are read and written in order, and the driver's threads hold blocks of their own."""
_OPTIONS = {
    # No file beside the named one is looked for, read or written: no .ovr, .aux.xml, .msk or world file.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    # Otherwise a mask would be written into a .msk file beside the raster.
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    # The VRT from which a COG is made must not promise overviews that its source has and that will be made again.
    "VRT_VIRTUAL_OVERVIEWS": "NO",
}


@contextmanager
def gdal_environment(cache_bytes: int = CACHE_BYTES) -> Iterator[None]:
    """Set GDAL up within the block: small caches, and no files besides the named one."""
    with warnings.catch_warnings():
        # Whether a raster is georeferenced is decided in facts.py.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        # glibc keeps what each of GDAL's threads had in an arena of its own, and the process would grow step by step.
        # musl and macOS have no malloc_trim.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:
            trim(0)
        with rasterio.Env(GDAL_CACHEMAX=cache_bytes, **_OPTIONS):
            yield


def threads() -> str:
    """Return the number of threads for (de)compression, as GDAL takes it; the deployment may set GDAL_NUM_THREADS."""
    return str(get_gdal_config("GDAL_NUM_THREADS") or "ALL_CPUS")


@contextmanager
def open_tiff(path: Path) -> Iterator[DatasetReader]:
    """Open a local file as a GeoTIFF and as nothing else: other drivers can refer to other files and hosts."""
    # With several threads GDAL reports a damaged block once, and then returns it from its cache as if it were whole.
    with rasterio.open(path, driver="GTiff", NUM_THREADS="1") as dataset:
        yield dataset
