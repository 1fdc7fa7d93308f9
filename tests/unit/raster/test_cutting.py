"""Tiles, reach, block ranges and spools: truth tables and properties."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from repositories.storage.fake_blobs import FakeBlobs
from schema.errors import PermanentError, SourceChanged
from services.raster.names import tile_blob, version_folder
from services.raster.options import Options
from services.raster.output.cog import CogPlan, creation_options, plan_tile_cog
from services.raster.output.vrt import Placed, vrt_parts
from services.raster.output.warp import open_warped, read_block
from services.raster.planning.georeference import Grid
from services.raster.planning.nodata import NodataPlan
from services.raster.planning.plan import RasterPlan, plan_process
from services.raster.planning.resampling import DataKind
from services.raster.source.facts import RasterFacts, facts_of
from services.raster.source.gdal import gdal_environment
from services.raster.source.remote import Opening
from services.raster.tiling.block_ranges import missing_is_nodata, read_block_ranges
from services.raster.tiling.cut import aligned, output_grid
from services.raster.tiling.reach import reach_of
from services.raster.tiling.spool import pieces, runs, spooled
from services.raster.tiling.tile_sizes import MAX_TILES, OutputSize, smallest_target, tile_shape
from services.stac.ids import tile_item_id
from services.stac.mosaic import MosaicTile, make_mosaic
from tests.fixtures.raster_facts import facts
from tests.fixtures.rasters import UTM_PLACE, ramp, write_raster

SIZES = st.builds(
    OutputSize,
    width=st.integers(1, 300_000),
    height=st.integers(1, 300_000),
    pixel_bytes=st.sampled_from([1, 2, 3, 8, 100]),
    side=st.sampled_from([512, 256, 128]),
)


@pytest.mark.parametrize(
    ("size", "wide", "count"),
    [
        (OutputSize(103_000, 102_914, 3, 512), False, 35),
        (OutputSize(103_000, 102_914, 3, 512), True, 34),
        (OutputSize(160_000, 66_250, 3, 512), False, 35),
        (OutputSize(1000, 1000, 3, 512), False, 1),
        (OutputSize(1, 1_000_000, 1, 512), False, 1),
    ],
)
def test_a_raster_is_cut_into_about_as_many_tiles_as_it_has_gigabytes(size: OutputSize, wide: bool, count: int) -> None:
    assert tile_shape("a", size, 1.0, wide=wide).count(size) == count


@given(size=SIZES, target=st.floats(0.005, 50), wide=st.booleans())
def test_tiles_are_no_larger_than_the_target_and_cover_the_grid(size: OutputSize, target: float, wide: bool) -> None:
    try:
        shape = tile_shape("a", size, target, wide=wide)
    except PermanentError:
        return
    whole = shape.width >= size.width and shape.height >= size.height
    assert whole or shape.width * shape.height * size.pixel_bytes <= target * 1.000001e9
    assert shape.width % 64 == shape.height % 64 == 0
    assert shape.count(size) <= MAX_TILES


@given(size=SIZES, wide=st.booleans())
def test_the_smallest_target_fits_and_a_smaller_one_does_not(size: OutputSize, wide: bool) -> None:
    fitting = smallest_target(size, wide=wide)
    assert tile_shape("a", size, float(f"{fitting:.6g}"), wide=wide).count(size) <= MAX_TILES
    if math.ceil(size.width / 64) * math.ceil(size.height / 64) > MAX_TILES:
        with pytest.raises(PermanentError):
            tile_shape("a", size, fitting * 0.999 - 64**2 * size.pixel_bytes / 1e9, wide=wide)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (Window(0, 0, 512, 512), Window(0, 0, 512, 512)),
        (Window(64, 600, 10, 500), Window(0, 512, 512, 688)),
        (Window(1024, 1024, 76, 176), Window(1024, 1024, 76, 176)),
    ],
)
def test_a_window_is_widened_to_whole_blocks(window: Window, expected: Window) -> None:
    assert aligned(window, 512, Grid("", (1, 0, 0, 0, -1, 0), 1100, 1200)) == expected


def planned(path: Path, **options: Any) -> RasterPlan:
    with gdal_environment(), rasterio.open(path) as dataset:
        return plan_process("a.tif", dataset, facts_of(dataset), Options(**options))


@pytest.mark.parametrize("resampling", ["nearest", "cubic", "lanczos", "average"])
@pytest.mark.parametrize(("crs", "west", "size"), [("EPSG:32632", 5e5, 10), ("EPSG:3031", 1e6, 2000)])
def test_a_block_needs_no_pixel_beyond_its_reach(
    tmp_path: Path, resampling: str, crs: str, west: float, size: float
) -> None:
    place = rasterio.transform.from_origin(west, 5_200_000 if size == 10 else 1e6, size, size)
    path = write_raster(tmp_path / "a.tif", ramp(900, 800, dtype="int16"), crs=crs, transform=place, nodata=-1)
    plan = planned(path, resampling=resampling)
    assert plan.warp
    way = plan.warp.operation
    grid = plan.warp.grid
    window = Window(grid.width // 3, grid.height // 3, 150, 130)
    reach = reach_of(plan.facts, grid, way, window, 512)
    assert reach.sure
    first_row, last_row, first_col, last_col = reach.whole
    alone = ramp(900, 800, dtype="int16")
    outside = np.ones(alone.shape, bool)
    outside[:, first_row:last_row, first_col:last_col] = False
    assert outside.any()
    alone[outside] = 999
    other = write_raster(tmp_path / "b.tif", alone, crs=crs, transform=place, nodata=-1)
    blocks = []
    with gdal_environment():
        for source in (path, other):
            with rasterio.open(source) as dataset, open_warped(dataset, plan, plan.warp) as warped:
                blocks.append(read_block(warped, plan, window)[0])
    assert (blocks[0] != -1).any()
    assert np.array_equal(blocks[0], blocks[1])


def test_pixels_that_stay_reach_themselves() -> None:
    reach = reach_of(facts(), None, None, Window(512, 0, 400, 600), 512)
    assert reach.boxes.tolist() == [[[0, 512, 512, 912]], [[512, 600, 512, 912]]]
    assert (reach.whole, reach.row_span) == ((0, 600, 512, 912), 512)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_block_ranges_say_where_pixels_are_stored_and_which_are_missing(tmp_path: Path, interleave: str) -> None:
    path = tmp_path / "a.tif"
    with rasterio.open(path, "w", driver="GTiff", width=1000, height=900, count=2, dtype="uint8", tiled=True,
                       blockxsize=256, blockysize=256, SPARSE_OK=True, interleave=interleave,
                       transform=UTM_PLACE) as dataset:  # fmt: skip
        dataset.write(np.full((2, 256, 256), 7, "uint8"), window=Window(256, 512, 256, 256))
    with rasterio.open(path) as dataset:
        found = read_block_ranges(dataset, facts_of(dataset), (300, 900, 0, 1000))
    stored = list(found.bytes_of(np.array([600, 601, 300, 301])))
    data = path.read_bytes()
    assert [data[begin:end] for begin, end in stored] == (
        [b"\7" * 2 * 256 * 256] if interleave == "pixel" else [b"\7" * 256 * 256] * 2
    )
    assert not found.is_missing(np.array([500, 600, 200, 300]))
    assert found.is_missing(np.array([300, 500, 0, 1000]))
    assert found.is_missing(np.array([0, 0, 0, 0]))


def test_an_index_that_is_too_long_or_not_to_be_believed_is_left_alone(tmp_path: Path) -> None:
    path, box = write_raster(tmp_path / "a.tif", tiled=True, blockxsize=256, blockysize=256), np.array([0, 9, 0, 9])
    with rasterio.open(path) as dataset:
        found = read_block_ranges(dataset, facts_of(dataset), (0, 600, 0, 700))
        unread = read_block_ranges(dataset, facts_of(dataset), (0, 600, 0, 700), max_blocks=8)
    assert len(list(found.bytes_of(box))) == 1
    unlikely = replace(found, longest=1000)
    for ranges in (unlikely, unread):
        assert list(ranges.bytes_of(box)) == []
        assert not ranges.is_missing(box)


@pytest.mark.parametrize(
    ("stored", "validity", "nodata", "expected"),
    [
        (0.0, "nodata", 0.0, True),
        (None, "nodata", 0.0, True),
        (None, "nodata", -9999.0, False),
        (-9999.0, "nodata", -9999.0, True),
        (math.nan, "nodata", math.nan, True),
        (None, "nodata", math.nan, False),
        (None, "alpha", None, True),
        (7.0, "alpha", 7.0, False),
        (None, "mask", None, False),
        (None, "all", None, False),
    ],
)
def test_missing_blocks_are_nodata_only_when_they_read_as_it(
    stored: float | None, validity: Any, nodata: float | None, expected: bool
) -> None:
    known: RasterFacts = facts(nodata=stored)
    plan = RasterPlan(known, None, NodataPlan(nodata, validity), DataKind("continuous", ""), None, Options())
    assert missing_is_nodata(plan) is expected


@given(st.lists(st.integers(0, 50)))
def test_runs_hold_the_same_numbers_in_the_same_order(numbers: list[int]) -> None:
    assert [n for first, last in runs(numbers) for n in range(first, last)] == numbers


@pytest.mark.parametrize(("begin", "end", "expected"), [(0, 1, [0]), (0, 10, [0]), (9, 11, [0, 1]), (10, 30, [1, 2])])
def test_pieces_of_a_range(begin: int, end: int, expected: list[int]) -> None:
    assert list(pieces(begin, end, 10)) == expected


def test_a_spool_gives_the_bytes_of_the_blob_and_fetches_each_piece_once(tmp_path: Path) -> None:
    data = np.random.default_rng(1).bytes(2345)
    blobs = FakeBlobs()
    blobs.write("bronze", "a", data)
    with spooled(blobs, blobs.head("bronze", "a"), tmp_path / "spool", piece_bytes=100, at_once=3) as file:
        file.fetch_ahead([(0, 250), (200, 700), (2300, 2345), (150, 160)])
        for begin, end in ((0, 10), (650, 950), (1200, 1201), (2290, 2345), (0, 2345)):
            assert file.bytes_of(begin, end) == data[begin:end]
        one, other = Opening(file), Opening(file)
        one.seek(5)
        assert other.read(3) == data[:3]
        assert one.read(7) == data[5:12]
        assert one.get_byte_ranges([5, 2000], [7, 9]) == [data[5:12], data[2000:2009]]
        assert file.transferred == 2345
    assert not (tmp_path / "spool").exists()


def test_a_spool_notices_that_the_blob_was_replaced(tmp_path: Path) -> None:
    blobs = FakeBlobs()
    blobs.write("bronze", "a", bytes(1000))
    source = blobs.head("bronze", "a")
    blobs.write("bronze", "a", bytes(1000))
    with spooled(blobs, source, tmp_path / "spool") as file:
        file.fetch_ahead([(0, 1000)])
        assert file.bytes_of(0, 10) == b""
        assert isinstance(file.error, SourceChanged)


def test_all_tiles_of_a_raster_are_alike_whatever_is_in_them(tmp_path: Path) -> None:
    plan = planned(write_raster(tmp_path / "a.tif"), optimize="none")
    cogs = [plan_tile_cog(plan, output_grid(plan).part(Window(0, top, 200, 64))) for top in (0, 64)]
    assert {(cog.header.dtype, cog.header.nodata, cog.header.with_mask, cog.overviews) for cog in cogs} == {
        ("uint8", None, True, "AVERAGE")
    }
    assert cogs[1].header.transform != cogs[0].header.transform


@pytest.mark.parametrize(
    ("width", "height", "side"),
    [(512, 1024, 384), (512, 512, 512), (1024, 5000, 384), (1023, 5000, 384), (700, 5000, 512), (1024, 500, 512)],
)
def test_no_level_of_a_cog_is_as_wide_as_its_blocks_and_higher(
    tmp_path: Path, width: int, height: int, side: int
) -> None:
    plan = planned(write_raster(tmp_path / "a.tif"), target_crs="native", optimize="none")
    header = plan_tile_cog(plan, Grid("", (1, 0, 0, 0, -1, 0), width, height)).header
    assert creation_options(CogPlan(header, "deflate", "NEAREST", 512))["BLOCKSIZE"] == str(side)


def test_a_mosaic_of_tiles_is_a_vrt_with_names_beside_it(tmp_path: Path) -> None:
    plan = planned(write_raster(tmp_path / "a.tif"), optimize="none")
    header = plan_tile_cog(plan, output_grid(plan)).header
    placed = [Placed("tiles/r0c0.tif", 0, 0, 64, 64, 512), Placed("tiles/r0c1.tif", 64, 0, 9, 64, 512)]
    text = "".join(vrt_parts(header, placed))
    assert text.count('<SourceFilename relativeToVRT="1">tiles/r0c1.tif</SourceFilename>') == 2
    assert '<DstRect xOff="64" yOff="0" xSize="9" ySize="64" />' in text
    assert text.endswith("</VRTDataset>")


def test_names_of_tiles() -> None:
    folder = version_folder("bronze", "x/a.tif", None)
    assert tile_blob(folder, "r2c11") == "bronze/x/a/v1/tiles/r2c11.tif"
    assert tile_item_id("x/a.tif", "2", "r2c11") == "x-a-2-r2c11"
    assert len(tile_item_id("x" * 900, None, "r2c11")) == 200
    assert tile_item_id("x" * 900, None, "r2c11").endswith("-r2c11")


def test_a_mosaic_over_the_antimeridian_is_found_on_both_sides() -> None:
    text = make_mosaic("a", "/", [MosaicTile("tiles/r0c0.tif", [179.0, -1.0, -179.0, 1.0])], 0.001, 2048, "uint8")
    for side in ('"13', '"02', '"31', '"20'):
        assert side in text


def test_a_target_below_the_smallest_tile_is_refused_with_its_size() -> None:
    size = OutputSize(1000, 1000, 2, 512)
    with pytest.raises(PermanentError) as raised:
        tile_shape("a", size, 1e-12, wide=False)
    assert raised.value.error_code == "tile_too_small"
    assert "8.192e-06" in raised.value.remediation
    assert tile_shape("a", size, 8.192e-06, wide=False).count(size) == 256
