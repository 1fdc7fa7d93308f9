"""Grids: where a raster lies after it is warped, and what a row of blocks needs of its source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import CRS
from rasterio.transform import from_origin
from rasterio.warp import calculate_default_transform
from rasterio.windows import Window

from schema.errors import PermanentError
from services.crs import crs_label, same_crs
from services.raster.options import Options
from services.raster.output.warp import open_warped, read_block
from services.raster.planning.georeference import Grid, source_crs
from services.raster.planning.grids import operation_for, plan_grid
from services.raster.planning.plan import RasterPlan, needs_tiles, plan_process
from services.raster.source.facts import facts_of
from services.raster.source.gdal import gdal_environment
from tests.fixtures.raster_facts import facts
from tests.fixtures.rasters import ramp, write_raster

WGS84 = CRS("EPSG:4326")


def grid_of(path: Path, target: CRS = WGS84, **what: Any) -> Grid:
    write_raster(path, **what)
    with gdal_environment(), rasterio.open(path) as dataset:
        found = facts_of(dataset)
        crs = CRS.from_wkt(found.crs_wkt or "")
        return plan_grid("a.tif", dataset, found, crs, target, operation_for("a.tif", found, crs, target))


def plan_of(path: Path, **options: Any) -> RasterPlan:
    with gdal_environment(), rasterio.open(path) as dataset:
        return plan_process("a.tif", dataset, facts_of(dataset), Options(**options))


def bounds(grid: Grid) -> tuple[float, float, float, float]:
    left, top = grid.affine @ (0, 0)
    right, bottom = grid.affine @ (grid.width, grid.height)
    return left, bottom, right, top


def test_an_ordinary_grid_is_gdals_own(tmp_path: Path) -> None:
    grid = grid_of(tmp_path / "a.tif")
    with rasterio.open(tmp_path / "a.tif") as dataset:
        place, width, height = calculate_default_transform(
            dataset.crs, "EPSG:4326", dataset.width, dataset.height, *dataset.bounds
        )
    assert (grid.width, grid.height) == (width, height)
    assert grid.affine.almost_equals(place, precision=1e-9)


@pytest.mark.parametrize(("crs", "west"), [("EPSG:32660", 650_000), ("EPSG:32601", 250_000)])
def test_a_grid_over_the_antimeridian_runs_on(tmp_path: Path, crs: str, west: float) -> None:
    place = from_origin(west, 6_000_000, 1000, 1000)
    if crs == "EPSG:32601":
        place = from_origin(100_000, 6_000_000, 1000, 1000)
    left, _, right, _ = bounds(grid_of(tmp_path / "a.tif", pixels=ramp(300, 300), crs=crs, transform=place))
    assert right - left < 8
    assert left < 180 < right or left < -180 < right


@pytest.mark.parametrize(("crs", "edge"), [("EPSG:3031", -90), ("EPSG:3413", 90), ("EPSG:3995", 90)])
def test_a_grid_over_a_pole_reaches_it_and_keeps_the_resolution(tmp_path: Path, crs: str, edge: float) -> None:
    place = from_origin(-2e6, 2e6, 10_000, 10_000)
    grid = grid_of(tmp_path / "a.tif", pixels=ramp(400, 400), crs=crs, transform=place)
    left, bottom, right, top = bounds(grid)
    assert (left, right) == pytest.approx((-180, 180), abs=0.2)
    assert edge in (round(top, 9), pytest.approx(bottom, abs=0.2))
    assert 0.05 < grid.transform[0] < 0.15


def test_a_polar_raster_beside_the_pole_has_an_ordinary_grid(tmp_path: Path) -> None:
    place = from_origin(1e6, 2e6, 1000, 1000)
    left, _, right, _ = bounds(grid_of(tmp_path / "a.tif", pixels=ramp(400, 400), crs="EPSG:3031", transform=place))
    assert right - left < 30


def test_a_projection_of_the_whole_world_holds_no_pole(tmp_path: Path) -> None:
    place = from_origin(-20037508, 20037508, 100_000, 100_000)
    left, bottom, right, top = bounds(
        grid_of(tmp_path / "a.tif", pixels=ramp(400, 400), crs="EPSG:3857", transform=place)
    )
    assert (left, right) == pytest.approx((-180, 180), abs=1)
    assert (bottom, top) == pytest.approx((-85, 85), abs=1)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("EPSG:4326", "OGC:CRS84", True),
        ("EPSG:4326", "EPSG:4979", True),
        ("EPSG:32632+5783", "EPSG:32632", True),
        ("EPSG:4326", "EPSG:4258", False),
        ("EPSG:32632", "EPSG:32633", False),
    ],
)
def test_heights_and_the_order_of_axes_make_no_other_crs(one: str, other: str, same: bool) -> None:
    assert same_crs(CRS(one), CRS(other)) is same


def test_the_callers_crs_wins_and_the_file_is_contradicted_aloud() -> None:
    own = facts(crs_wkt=CRS("EPSG:32632").to_wkt())
    assert source_crs("a", own, "EPSG:32632").warnings == ()
    found = source_crs("a", own, "EPSG:32633")
    assert (crs_label(found.crs), len(found.warnings)) == ("EPSG:32633", 1)


@pytest.mark.parametrize(
    ("changes", "requested", "code"),
    [
        ({}, None, "crs_missing"),
        ({}, "EPSG:1", "crs_unknown"),
        ({"georeference": "none"}, "EPSG:32632", "not_georeferenced"),
        ({"georeference": "rpcs"}, "EPSG:32632", "not_georeferenced"),
    ],
)
def test_a_raster_without_a_place_is_refused(changes: dict[str, Any], requested: str | None, code: str) -> None:
    with pytest.raises(PermanentError) as raised:
        source_crs("a", facts(**changes), requested)
    assert raised.value.error_code == code


@pytest.mark.parametrize(
    ("target", "what", "warps"),
    [
        ("EPSG:4326", {}, True),
        ("EPSG:32632", {}, False),
        ("native", {}, False),
        ("EPSG:32632", {"transform": rasterio.Affine(10, 0, 5e5, 0, 10, 5e6)}, True),
        ("native", {"transform": rasterio.Affine(10, 0, 5e5, 0, 10, 5e6)}, False),
    ],
)
def test_pixels_move_only_when_they_must(tmp_path: Path, target: str, what: dict[str, Any], warps: bool) -> None:
    plan = plan_of(write_raster(tmp_path / "a.tif", **what), target_crs=target)
    assert (plan.warp is not None) is warps


def test_a_source_in_strips_is_cut_into_tiles_only_when_its_strips_do_not_fit_the_cache(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "a.tif", compress="lzw")
    tiled = write_raster(tmp_path / "t.tif", compress="lzw", tiled=True)
    assert not needs_tiles(plan_of(path))
    assert needs_tiles(plan_of(path), 1000)
    assert not needs_tiles(plan_of(tiled), 1000)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_a_block_is_the_same_whatever_was_read_before(tmp_path: Path, resampling: str) -> None:
    path = write_raster(tmp_path / "a.tif", ramp(1500, 1400, 2, "int16"), nodata=-1)
    plan = plan_of(path, resampling=resampling)
    assert plan.warp
    window = Window(512, 512, 512, 300)
    blocks = []
    with gdal_environment():
        for before in (None, Window(0, 0, 512, 512), Window(1024, 0, 300, 512)):
            with rasterio.open(path) as dataset, open_warped(dataset, plan, plan.warp) as warped:
                if before:
                    read_block(warped, plan, before)
                blocks.append(read_block(warped, plan, window)[0])
    assert (blocks[0] != -1).any()
    assert all(np.array_equal(blocks[0], block) for block in blocks)
