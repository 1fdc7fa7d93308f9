"""Mosaics as local files, and tiles against the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from schema.jobs import Json
from tests.fixtures import gdal
from tests.fixtures.mosaics import download_mosaic
from tests.integration.raster.world import World

BLOCK_GB = 512 * 512 / 1e9
"""A block of a raster of bytes."""


def download(world: World, result: Json) -> Path:
    """Return the VRT of a result as a local file, with the tiles where it looks for them."""
    return download_mosaic(world.blobs, result["vrt_path"], world.folder / "mosaic")


def tiled_and_whole(world: World, name: str, *, target: float = BLOCK_GB * 1.5, **parameters: Any) -> Json:
    """Tile a raster and process it whole: pixels, masks and places are the same; gives the result of the tiles."""
    whole = world.output(world.run("process_raster", name, optimize="none", **parameters))
    tiled = world.run("tile_raster", name, target_tile_size_gb=target, **parameters)
    mosaic = download(world, tiled)
    expected = gdal.pixels(whole)
    assert np.array_equal(gdal.pixels(mosaic), expected, equal_nan=expected.dtype.kind == "f")
    assert np.array_equal(gdal.mask(mosaic), gdal.mask(whole))
    with rasterio.open(mosaic) as found, rasterio.open(whole) as like:
        assert (found.transform, found.crs, found.dtypes) == (like.transform, like.crs, like.dtypes)
        assert (found.colorinterp, found.nodata) == (like.colorinterp, like.nodata) or np.isnan(found.nodata)
    return tiled
