"""Factories of rasters: each test says only what is special in its file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import from_origin

Array = npt.NDArray[Any]
UTM = "EPSG:32632"
UTM_PLACE = from_origin(500_000, 5_200_000, 10, 10)


def ramp(width: int = 700, height: int = 600, count: int = 1, dtype: str = "uint8") -> Array:
    """Pixels that differ from their neighbours: bands, rows, columns."""
    rows, cols = np.mgrid[0:height, 0:width]
    return np.stack([(rows * 3 + cols * 7 + band * 50) % 250 + 1 for band in range(count)]).astype(dtype)


def write_raster(
    path: Path,
    pixels: Array | None = None,
    *,
    crs: Any = UTM,
    transform: Any = UTM_PLACE,
    mask: Array | None = None,
    colors: list[Any] | None = None,
    palette: dict[int, tuple[int, ...]] | None = None,
    tags: dict[str, str] | None = None,
    descriptions: list[str] | None = None,
    scales: list[float] | None = None,
    offsets: list[float] | None = None,
    units: list[str] | None = None,
    gcps: Any = None,
    dtype: str | None = None,
    **options: Any,
) -> Path:
    """Write a GeoTIFF; without `transform` it has no place."""
    pixels = ramp() if pixels is None else pixels
    count, height, width = pixels.shape
    path.unlink(missing_ok=True)
    place = {"gcps": gcps} if gcps else {"transform": transform} if transform is not None else {}
    with warnings.catch_warnings(), rasterio.Env(GDAL_TIFF_INTERNAL_MASK="YES"):
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(
            path, "w", driver="GTiff", width=width, height=height, count=count, dtype=dtype or pixels.dtype, crs=crs,
            **place, **options,
        ) as dataset:  # fmt: skip
            if colors:
                dataset.colorinterp = colors
            if palette:
                dataset.write_colormap(1, palette)
            dataset.write(pixels)
            dataset.update_tags(**(tags or {}))
            for name, values in (("descriptions", descriptions), ("scales", scales), ("offsets", offsets)):
                if values:
                    setattr(dataset, name, values)
            if units:
                dataset.units = units
            if mask is not None:
                dataset.write_mask(mask)
    return path


def write_bytes(path: Path, **what: Any) -> bytes:
    """Write a GeoTIFF and give its bytes."""
    return write_raster(path, **what).read_bytes()
