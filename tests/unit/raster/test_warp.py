"""Warps: blocks show nothing of their edges, grid and pixels come from one operation, and gdalwarp agrees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.transform import from_origin
from rasterio.windows import Window

from services.raster.options import Options
from services.raster.output.warp import open_warped, read_block
from services.raster.planning.plan import RasterPlan, WarpPlan, plan_process
from services.raster.source.blocks import windows
from services.raster.source.facts import facts_of
from services.raster.source.gdal import gdal_environment
from tests.fixtures import gdal
from tests.fixtures.rasters import Array, write_raster

ALBERS = "EPSG:5070"
TURNED = {
    "LAEA to degrees": ("EPSG:3035", from_origin(5_500_000, 4_500_000, 100, 100), "EPSG:4326"),
    "UTM to LAEA": ("EPSG:32629", from_origin(400_000, 4_400_000, 100, 100), "EPSG:3035"),
    "Albers to degrees": (ALBERS, from_origin(1_900_000, 2_900_000, 100, 100), "EPSG:4326"),
    "Albers to UTM": (ALBERS, from_origin(1_900_000, 2_900_000, 100, 100), "EPSG:32619"),
}


def noise(width: int = 700, height: int = 600) -> Array:
    return np.random.default_rng(3).integers(1, 256, (1, height, width)).astype("uint8")


def plan_of(path: Path, **options: Any) -> RasterPlan:
    with gdal_environment(), rasterio.open(path) as dataset:
        return plan_process("a.tif", dataset, facts_of(dataset), Options(**options))


def warped(path: Path, plan: RasterPlan, warp: WarpPlan, window: Window, tolerance: float) -> tuple[Array, Array]:
    with gdal_environment(), rasterio.open(path) as dataset, open_warped(dataset, plan, warp, tolerance) as opened:
        block, mask = read_block(opened, plan, window)
    assert mask is not None
    return block, mask


@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average"])
@pytest.mark.parametrize("way", TURNED)
def test_every_block_has_the_pixels_of_one_run_over_the_whole(tmp_path: Path, way: str, resampling: str) -> None:
    crs, place, target = TURNED[way]
    path = write_raster(tmp_path / "a.tif", noise(), crs=crs, transform=place)
    plan = plan_of(path, target_crs=target, resampling=resampling)
    assert plan.warp
    grid = plan.warp.grid
    # One block as large as the grid is one run.
    at_once = replace(plan.warp, side=max(grid.width, grid.height))
    whole, whole_mask = warped(path, plan, at_once, Window(0, 0, grid.width, grid.height), 0.0)
    for window in windows(grid.width, grid.height, 256):
        block, mask = warped(path, plan, replace(plan.warp, side=256), window, 0.0)
        rows, cols = window.toslices()
        assert (mask == whole_mask[rows, cols]).all()
        assert (block == whole[:, rows, cols]).all()


@gdal.needs_gdal
@pytest.mark.parametrize("resampling", ["bilinear", "cubic", "average"])
@pytest.mark.parametrize("way", ["LAEA to degrees", "Albers to UTM"])
def test_one_run_of_gdalwarp_gives_the_same_pixels(tmp_path: Path, way: str, resampling: str) -> None:
    crs, place, target = TURNED[way]
    path = write_raster(tmp_path / "a.tif", noise(), crs=crs, transform=place)
    plan = plan_of(path, target_crs=target, resampling=resampling)
    assert plan.warp
    grid = plan.warp.grid
    (left, top), (right, bottom) = grid.affine @ (0, 0), grid.affine @ (grid.width, grid.height)
    across, down = plan.warp.scale
    options = [
        "-t_srs", target, "-r", resampling, "-et", "0", "-wm", "2000", "-dstalpha",
        "-wo", f"XSCALE={across}", "-wo", f"YSCALE={down}", "-ct", str(plan.warp.operation.pipeline),
        "-te", *(repr(v) for v in (left, bottom, right, top)), "-ts", str(grid.width), str(grid.height),
    ]  # fmt: skip
    expected = gdal.pixels(gdal.warp(path, tmp_path / "w.tif", *options))
    whole = Window(0, 0, grid.width, grid.height)
    exact, mask = warped(path, plan, plan.warp, whole, 0.0)
    both = mask & (expected[1] > 0)
    # Two versions of PROJ differ in the last digits, which moves a pixel across the edge of the source here and there.
    # Versions of GDAL differ in how much of a pixel must lie in the source for an average.
    assert np.mean(mask == (expected[1] > 0)) > (0.997 if resampling == "average" else 0.9999)
    assert np.mean(exact[0][both] == expected[0][both]) > 0.999
    assert np.abs(exact[0][both].astype(int) - expected[0][both]).max() <= 1
    # As jobs warp it, with an allowed error of a hundredth of a pixel.
    found, mask = warped(path, plan, plan.warp, whole, 0.01)
    both &= mask
    assert np.mean(np.abs(found[0][both].astype(int) - expected[0][both]) <= 4) > 0.999


@pytest.mark.parametrize(("way", "deviation"), [("UTM to LAEA", 2 / 3), ("Albers to UTM", 2 / 3)])
def test_a_turned_raster_of_the_same_resolution_keeps_its_contrast(tmp_path: Path, way: str, deviation: float) -> None:
    crs, place, target = TURNED[way]
    path = write_raster(tmp_path / "a.tif", noise(), crs=crs, transform=place)
    plan = plan_of(path, target_crs=target, resampling="bilinear")
    assert plan.warp
    assert plan.warp.scale == pytest.approx((1.0, 1.0), abs=0.05)
    found, mask = warped(path, plan, plan.warp, Window(0, 0, plan.warp.grid.width, plan.warp.grid.height), 0.01)
    # The mean of four neighbors with bilinear weights has two thirds of the deviation of noise.
    assert found[0][mask].std() == pytest.approx(deviation * noise().std(), rel=0.02)


@pytest.mark.parametrize("place", [(0, 100), (440_720, 0), (964_000, 1_044_000), (-500_000, -2_000_000)])
def test_no_pixel_is_lost_where_a_crs_has_an_operation_for_each_region(tmp_path: Path, place: tuple[int, int]) -> None:
    # Bogota 1975 has ten operations to WGS 84, and some of these places lie outside the areas of all of them.
    pixels = np.arange(1, 101, dtype="uint8").reshape(1, 10, 10)
    path = write_raster(tmp_path / "a.tif", pixels, crs="EPSG:21897", transform=from_origin(*place, 10, 10))
    plan = plan_of(path, resampling="nearest")
    assert plan.warp
    whole = Window(0, 0, plan.warp.grid.width, plan.warp.grid.height)
    found, mask = warped(path, plan, plan.warp, whole, 0.01)
    assert len(set(found[0][mask])) >= 98


@pytest.mark.parametrize("west", [0, 100, 170])
def test_longitudes_beyond_180_are_found_in_other_crss(tmp_path: Path, west: int) -> None:
    pixels = np.arange(1, 181, dtype="uint8")[None, None].repeat(40, axis=1)
    path = write_raster(tmp_path / "a.tif", pixels, crs="EPSG:4326", transform=from_origin(west, 20, 1, 1))
    plan = plan_of(path, target_crs="EPSG:3857", resampling="nearest")
    assert plan.warp
    whole = Window(0, 0, plan.warp.grid.width, plan.warp.grid.height)
    found, mask = warped(path, plan, plan.warp, whole, 0.01)
    assert len(set(found[0][mask])) >= 178
