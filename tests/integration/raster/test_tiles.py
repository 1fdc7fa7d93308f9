"""Tiles: side by side they are, bit for bit, what process_raster makes of the whole."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from rasterio.enums import ColorInterp
from rasterio.transform import Affine, from_origin
from rasterio.windows import Window

from services.handlers.tiling import make_tile
from tests.fixtures import gdal
from tests.fixtures.rasters import ramp
from tests.integration.raster.mosaics import BLOCK_GB, download, tiled_and_whole
from tests.integration.raster.world import World

UTM = {"crs": "EPSG:32632", "transform": from_origin(500_000, 5_200_000, 10, 10)}
POLAR = {"crs": "EPSG:3031", "transform": from_origin(-800_000, 900_000, 5000, 5000)}
RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
WIDTH, HEIGHT = 1100, 1050


@pytest.mark.parametrize(("size", "place"), [((WIDTH, HEIGHT), UTM), ((300, 280), POLAR)], ids=["UTM", "over a pole"])
@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_tiles_side_by_side_are_the_whole(
    world: World, size: tuple[int, int], place: dict[str, Any], resampling: str
) -> None:
    name = world.put_raster("a.tif", pixels=ramp(*size), nodata=0, **place)
    tiled = tiled_and_whole(world, name, resampling=resampling)
    assert tiled["tiles_created"] + tiled["tiles_skipped"] >= 4


LAYOUTS: dict[str, dict[str, Any]] = {
    "mask": {"mask": (ramp(WIDTH, HEIGHT)[0] > 100).astype("uint8") * 255},
    "no nodata": {},
    "bands apart": {"pixels": ramp(WIDTH, HEIGHT, 3), "interleave": "band", "tiled": True},
    "NaN": {"pixels": np.where(ramp(WIDTH, HEIGHT) > 200, np.nan, ramp(WIDTH, HEIGHT)).astype("float32")},
    "alpha": {
        "pixels": np.concatenate([ramp(WIDTH, HEIGHT, 3), (ramp(WIDTH, HEIGHT) > 90).astype("uint8") * 255]),
        "colors": RGBA,
    },
    "rotated": {"transform": Affine.translation(5e5, 5e6) @ Affine.rotation(20) @ Affine.scale(10, -10)},
    "strips": {"compress": "lzw"},
    "palette": {"pixels": ramp(WIDTH, HEIGHT) % 4, "palette": {n: (n, n, n, 255) for n in range(4)}},
}


@pytest.mark.parametrize("target", ["EPSG:4326", "native"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_kind_of_raster_is_the_same_in_tiles(world: World, layout: str, target: str) -> None:
    name = world.put_raster("a.tif", **{"pixels": ramp(WIDTH, HEIGHT), **LAYOUTS[layout]})
    tiled_and_whole(world, name, target_crs=target)


@pytest.mark.parametrize("target", ["EPSG:4326", "native"])
def test_tiles_smaller_than_a_block_are_parts_of_blocks(world: World, target: str) -> None:
    name = world.put_raster("a.tif", pixels=ramp(700, 600), nodata=0)
    tiled = tiled_and_whole(world, name, target=0.00006, target_crs=target, resampling="cubic")
    assert tiled["tiles_created"] >= 8


@pytest.mark.parametrize("target", ["EPSG:4326", "native"])
@pytest.mark.parametrize("more", [{"nodata": 0}, {"mask": ramp(WIDTH, HEIGHT)[0]}], ids=["nodata", "mask"])
def test_strips_that_do_not_fit_the_cache_are_cut_first_and_nothing_changes(
    world: World, target: str, more: dict[str, Any]
) -> None:
    world.handlers["raster_tile"] = partial(make_tile, cache_bytes=1000, chunk_bytes=50_000)
    name = world.put_raster("a.tif", pixels=ramp(WIDTH, HEIGHT), compress="lzw", **more)
    tiled_and_whole(world, name, target_crs=target, resampling="cubic")


@pytest.mark.parametrize("target", ["EPSG:4326", "native"])
def test_missing_blocks_are_passed_over_and_nothing_changes(world: World, target: str) -> None:
    path = world.folder / "sparse.tif"
    with rasterio.open(path, "w", driver="GTiff", width=3000, height=2800, count=1, dtype="uint8", nodata=0,
                       tiled=True, SPARSE_OK=True, **UTM) as dataset:  # fmt: skip
        dataset.write(ramp(400, 300), window=Window(600, 900, 400, 300))
        dataset.write(ramp(1500, 20), window=Window(700, 2000, 1500, 20))
    name = world.put("a.tif", path.read_bytes())
    tiled = tiled_and_whole(world, name, target_crs=target, target=BLOCK_GB * 4)
    assert tiled["tiles_skipped"] >= 4
    assert tiled["tiles_created"] >= 3


def test_a_tile_reads_only_what_it_needs(world: World) -> None:
    world.handlers["raster_tile"] = partial(make_tile, piece_bytes=16_384)
    name = world.put_raster("a.tif", pixels=ramp(3000, 3000), tiled=True, nodata=0)
    result = world.run("tile_raster", name, target_tile_size_gb=BLOCK_GB * 4)
    assert result["tiles_created"] >= 9
    assert 9_000_000 < result["processing_stats"]["tiles"]["bytes_read"] < 3 * 9_000_000


@gdal.needs_gdal
def test_nearest_tiles_have_the_pixels_that_gdalwarp_chooses(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(WIDTH, HEIGHT, dtype="int16"), nodata=-1)
    mosaic = download(world, world.run("tile_raster", name, resampling="nearest", target_tile_size_gb=BLOCK_GB * 3))
    options = ["-t_srs", "EPSG:4326", "-r", "near", "-et", "0"]
    expected = gdal.pixels(gdal.warp(world.folder / "made.tif", world.folder / "w.tif", *options))
    assert np.mean(gdal.pixels(mosaic) == expected) >= 0.995


def test_no_pixel_lies_more_than_a_quarter_off_its_place(world: World) -> None:
    rows, cols = np.mgrid[0:HEIGHT, 0:WIDTH].astype("float32")
    name = world.put_raster("a.tif", pixels=np.stack([rows, cols]), nodata=-1)
    result = world.run("tile_raster", name, resampling="bilinear", target_tile_size_gb=BLOCK_GB * 12)
    assert result["tiles_created"] >= 4
    mosaic = download(world, result)
    assert _farthest(mosaic, world.folder / "made.tif") <= 0.25


def _farthest(mosaic: Path, source: Path) -> float:
    """Compare row and column, which the pixels hold, with those that PROJ gives for the middle of each pixel."""
    with rasterio.open(mosaic) as dataset, rasterio.open(source) as origin:
        found, valid = dataset.read(), dataset.read_masks(1) > 0
        way = Transformer.from_crs(dataset.crs, origin.crs, always_xy=True)
        cols, rows = np.meshgrid(np.arange(dataset.width) + 0.5, np.arange(dataset.height) + 0.5)
        x, y = way.transform(*(dataset.transform @ (cols, rows)))
        col, row = ~origin.transform @ (x, y)
    # Within half a pixel of the edge there is nothing to interpolate with.
    inside = valid & (row > 1) & (row < HEIGHT - 1) & (col > 1) & (col < WIDTH - 1)
    assert inside.mean() > 0.8
    off = np.hypot(found[0] - (row - 0.5), found[1] - (col - 0.5))
    return float(off[inside].max())
