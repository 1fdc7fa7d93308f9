"""Truth tables of what is decided about a raster: data type, nodata, resampling, blocks, names."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rasterio.errors import RasterioIOError

from schema.errors import PermanentError
from services.raster.names import cog_blob
from services.raster.options import Options
from services.raster.output.tiled_file import grid_writer
from services.raster.planning.dtype import CANDIDATES, holds, smallest_dtype
from services.raster.planning.georeference import Grid
from services.raster.planning.nodata import plan_nodata
from services.raster.planning.plan import plan_conversion
from services.raster.planning.resampling import kind_of, overview_method, warp_method
from services.raster.source.blocks import CHUNK_BYTES, block_side, chunk_shape, chunks, strip_side, windows
from services.raster.source.statistics import BandStatistics, RasterStatistics, validity_of
from services.stac.ids import collection_id, item_id, slug
from tests.fixtures.raster_facts import BAND, facts


def seen(*values: float, dtype: str = "float64") -> BandStatistics:
    band = BandStatistics()
    band.add(np.asarray([values], dtype), None)
    return band


@pytest.mark.parametrize(
    ("dtype", "values", "nodata", "expected"),
    [
        ("int16", [0, 255], None, "uint8"),
        ("int16", [-1, 127], None, "int8"),
        ("int16", [-1, 200], None, "int16"),
        ("int32", [0, 65_535], None, "uint16"),
        ("int32", [0, 65_535], -1, "int32"),
        ("int64", [0, 2**32 - 1], None, "uint32"),
        ("uint16", [0, 65_535], None, "uint16"),
        ("uint8", [0, 1], None, "uint8"),
        ("float32", [0, 1], None, "uint8"),
        ("float32", [0.5], None, "float32"),
        ("float32", [1, math.nan], None, "float32"),
        ("float32", [1], math.nan, "float32"),
        ("float32", [1], -9999, "int16"),
        ("float32", [1], -3.4028234663852886e38, "float32"),
        ("float32", [0, 3e9], None, "uint32"),
        ("float32", [0, 1e12], None, "float32"),
        ("float64", [0, 1e12], None, "uint64"),
        ("float64", [0, 2.0**60], None, "float64"),
        ("float64", [math.inf], None, "float64"),
        ("complex64", [1], None, "complex64"),
    ],
)
def test_the_smallest_type_holds_every_value_and_nodata(
    dtype: str, values: list[float], nodata: float | None, expected: str
) -> None:
    numbers = "float64" if "float" in dtype or "complex" in dtype else dtype
    assert smallest_dtype(facts(dtype=dtype), [seen(*values, dtype=numbers)], nodata) == expected


def test_alpha_and_rasters_without_a_valid_pixel_keep_their_type() -> None:
    assert smallest_dtype(facts(dtype="uint16", colors=("gray", "alpha")), [seen(1), seen(2)], None) == "uint16"
    assert smallest_dtype(facts(dtype="int32"), [BandStatistics()], None) == "int32"


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=5), st.none() | st.integers(-(2**40), 2**40))
def test_nothing_is_lost_whatever_the_values(values: list[int], nodata: int | None) -> None:
    found = smallest_dtype(facts(dtype="int64"), [seen(*values, dtype="int64")], nodata)
    wanted = [*values, *([nodata] if nodata is not None else [])]
    assert all(np.iinfo(found).min <= value <= np.iinfo(found).max for value in wanted)
    smaller = [name for name in CANDIDATES if np.dtype(name).itemsize < np.dtype(found).itemsize]
    assert not [n for n in smaller if all(np.iinfo(n).min <= v <= np.iinfo(n).max for v in wanted)]


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [("uint8", 255, True), ("uint8", 256, False), ("uint8", 0.5, False), ("uint8", math.nan, False),
     ("float32", math.nan, True), ("float32", 1e300, False), ("int8", -128, True), ("complex64", 5, True)],
)  # fmt: skip
def test_holds(dtype: str, value: float, expected: bool) -> None:
    assert holds(dtype, value) is expected


@pytest.mark.parametrize(
    ("changes", "requested", "nodata", "validity", "warned"),
    [
        ({}, None, None, "all", False),
        ({"nodata": 0.0}, None, 0.0, "nodata", False),
        ({"nodata": 0.0}, 7, 7.0, "nodata", False),
        ({"nodata": 0.0}, "none", None, "all", False),
        ({"nodata": -9999.0}, None, None, "all", True),
        ({"has_mask": True}, None, None, "mask", False),
        ({"colors": ("gray", "alpha")}, None, None, "alpha", False),
        ({"has_mask": True, "nodata": 5.0}, None, None, "mask", True),
        ({"has_mask": True}, 5, None, "mask", True),
        ({"has_mask": True, "nodata": 5.0}, "none", None, "mask", False),
        ({"colors": ("gray", "alpha"), "nodata": 255.0}, None, None, "alpha", True),
        ({"dtype": "float32"}, None, math.nan, "nodata", False),
        ({"dtype": "float32"}, "none", None, "all", False),
        ({"dtype": "float32", "nodata": -1.0}, None, -1.0, "nodata", False),
    ],
)
def test_which_pixels_count(
    changes: dict[str, Any], requested: Any, nodata: float | None, validity: str, warned: bool
) -> None:
    plan = plan_nodata(facts(**changes), requested)
    assert plan.nodata == nodata or (math.isnan(plan.nodata or 0) and math.isnan(nodata or 0))
    assert (plan.validity, bool(plan.warnings)) == (validity, warned)
    assert plan.assumed == (changes == {"dtype": "float32"} and requested is None)


@pytest.mark.parametrize(("dtype", "requested"), [("uint8", -1), ("uint8", "nan"), ("int16", 0.5)])
def test_a_nodata_value_that_no_pixel_can_have_is_refused(dtype: str, requested: Any) -> None:
    with pytest.raises(PermanentError, match="out of range for the raster's data type"):
        plan_nodata(facts(dtype=dtype), requested)


@pytest.mark.parametrize(
    ("name", "changes", "values", "kind"),
    [
        ("a.tif", {}, None, "continuous"),
        ("a.tif", {}, range(256), "continuous"),
        ("a.tif", {}, (0, 1), "classes"),
        ("a.tif", {}, (0, 4, 5, 6, 11), "classes"),
        ("a.tif", {"dtype": "uint16"}, (0, 60_000), "classes"),
        ("a.tif", {"dtype": "int32"}, (0, 2_000_000), "continuous"),
        ("a.tif", {"dtype": "float32"}, (0, 1), "continuous"),
        ("T33UUP_20230517T103629_SCL_20m.tif", {"dtype": "uint16"}, None, "classes"),
        ("T33UUP_20230517T103629_B04_20m.tif", {"dtype": "uint16"}, None, "continuous"),
        ("scl/LC08_QA_PIXEL.TIF", {"dtype": "uint16"}, range(256), "classes"),
        ("scl/landmasked.tif", {"dtype": "uint16"}, range(256), "continuous"),
        ("qa_of_heights.tif", {"dtype": "float32"}, None, "continuous"),
        ("a.tif", {"colors": ("palette",)}, None, "classes"),
        ("a.tif", {"bands": (replace(BAND, description="Land cover class"),)}, None, "classes"),
        ("a.tif", {"bands": (replace(BAND, tags=(("LAYER_TYPE", "thematic class"),)),)}, None, "classes"),
        ("a.tif", {"tags": (("LAYER_TYPE", "Thematic"),)}, None, "classes"),
        ("a.tif", {"colors": ("red", "green", "blue")}, (0, 1), "continuous"),
    ],
)
def test_what_kind_of_data_it_is(name: str, changes: dict[str, Any], values: Any, kind: str) -> None:
    raster, statistics = facts(**changes), None
    if values is not None:
        pixels = np.resize(np.asarray(values, raster.dtype), (raster.count, 100, 100))
        statistics = RasterStatistics.empty(raster.count)
        statistics.add(pixels[:, :50], None)
        statistics.add(pixels[:, 50:], None)
    found = kind_of(name, raster, statistics)
    assert found.kind == kind
    assert found.reason


def test_a_small_raster_has_few_values_because_it_is_small() -> None:
    statistics = RasterStatistics.empty(1)
    statistics.add(np.arange(16, dtype="uint8").reshape(1, 4, 4), None)
    assert kind_of("a.tif", facts(), statistics).kind == "continuous"


@pytest.mark.parametrize(
    ("kind", "requested", "warp", "overview"),
    [
        ("classes", None, "nearest", "MODE"),
        ("continuous", None, "bilinear", "AVERAGE"),
        ("classes", "bilinear", "bilinear", "BILINEAR"),
        ("continuous", "q3", "q3", "NEAREST"),
        ("continuous", "cubic_spline", "cubic_spline", "CUBICSPLINE"),
    ],
)
def test_resampling_fits_the_data_unless_named(kind: Any, requested: str | None, warp: str, overview: str) -> None:
    assert (warp_method(kind, requested), overview_method(kind, requested)) == (warp, overview)


@pytest.mark.parametrize(("pixel_bytes", "side"), [(1, 512), (48, 512), (64, 256), (128, 256), (400, 128), (9999, 128)])
def test_a_block_of_all_bands_is_bounded(pixel_bytes: int, side: int) -> None:
    assert block_side(pixel_bytes) == side


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([128, 512]))
def test_windows_cover_a_grid_once(width: int, height: int, side: int) -> None:
    found = list(windows(width, height, side))
    assert sum(int(w.width * w.height) for w in found) == width * height
    assert all(int(w.col_off) % side == 0 and int(w.row_off) % side == 0 for w in found)


@pytest.mark.parametrize(
    ("width", "height", "block", "expected"),
    [
        (1000, 800, (256, 256), (256, 1000)),
        (100_000, 50_000, (256, 256), (256, 62_464)),
        (10_000, 10_000, (1, 10_000), (1600, 10_000)),
        (1, 1_000_000, (8192, 1), (1_000_000, 1)),
        (1_000_000, 1, (1, 1_000_000), (1, 1_000_000)),
    ],
)
def test_chunks_are_whole_blocks_of_bounded_size(
    width: int, height: int, block: tuple[int, int], expected: tuple[int, int]
) -> None:
    raster = facts(width=width, height=height, block_shape=block)
    assert chunk_shape(raster) == expected
    assert sum(int(w.width * w.height) for w in chunks(raster)) == width * height


@pytest.mark.parametrize(("width", "rows"), [(100, 512), (50_000, 256), (1_000_000, 16), (10_000_000, 16)])
def test_a_row_of_tiles_of_strips_is_bounded(width: int, rows: int) -> None:
    assert strip_side(facts(width=width)) == rows
    assert rows == 16 or rows * width <= CHUNK_BYTES


def test_statistics_add_up_over_blocks() -> None:
    found = RasterStatistics.empty(2)
    first = np.asarray([[[1, 2]], [[0, 5]]], "uint8")
    found.add(first, validity_of(first, 0, None))
    found.add(np.asarray([[[9, 9]], [[7, 7]]], "uint8"), np.asarray([[True, False]]))
    one, two = found.bands
    assert (one.total, one.valid, one.minimum, one.maximum, one.mean) == (4, 3, 1, 9, 4)
    assert (two.valid, two.minimum, two.maximum) == (2, 5, 7)
    assert found.covered == 3


def test_nan_and_infinity_do_not_spoil_statistics() -> None:
    band = seen(1, math.nan, 3)
    assert (band.valid, band.nans, band.minimum, band.maximum, band.whole) == (2, 1, 1, 3, True)
    assert not seen(math.inf).whole
    assert seen(math.nan).as_json() == {"valid_pixels": 0, "minimum": None, "maximum": None, "mean": None}


def test_values_of_complex_numbers_have_no_order() -> None:
    band = BandStatistics()
    band.add(np.asarray([[1 + 2j]]), None)
    assert (band.valid, band.minimum, band.mean) == (1, None, None)


@pytest.mark.parametrize(
    ("resource", "version", "blob", "item"),
    [
        ("a.tif", None, "bronze/a/v1.tif", "a-v1"),
        ("x/Y z.TIFF", "2", "bronze/x/Y z/2.tif", "x-y-z-2"),
        ("no_extension", "v1", "bronze/no_extension/v1.tif", "no_extension-v1"),
        ("a.b.tif", None, "bronze/a.b/v1.tif", "a.b-v1"),
        ("höhe.tif", None, "bronze/höhe/v1.tif", "höhe-v1"),
    ],
)
def test_names_of_outputs(resource: str, version: str | None, blob: str, item: str) -> None:
    assert (cog_blob("bronze", resource, version), item_id(resource, version)) == (blob, item)


def test_names_of_collections() -> None:
    assert collection_id("my data", None) == "my-data"
    assert collection_id("my data", "Chosen") == "Chosen"
    assert slug("///") == "raster"


def test_a_projected_crs_with_ellipsoidal_heights_is_written_without_them() -> None:
    raster = facts(crs_wkt=CRS("EPSG:32632").to_3d().to_wkt())
    plan = plan_conversion("a.tif", raster, Options())
    written = CRS.from_wkt(plan.native_crs_wkt or "")
    assert (len(written.axis_info), written.to_epsg()) == (2, 32632)
    assert [warning["code"] for warning in plan.warnings] == ["heights_left_out"]


def test_bands_with_masks_of_their_own_are_told() -> None:
    plan = plan_conversion("a.tif", facts(crs_wkt=CRS("EPSG:32632").to_wkt(), band_masks=True), Options())
    assert [warning["code"] for warning in plan.warnings] == ["band_masks_ignored"]


@pytest.mark.parametrize(("west", "warned"), [(0, True), (160, False), (-10, False), (190, True)])
def test_longitudes_that_mostly_lie_beyond_180_degrees_are_told(west: float, warned: bool) -> None:
    raster = facts(
        crs_wkt=CRS("EPSG:4326").to_wkt(),
        width=36,
        height=10,
        transform=(10.0 if west == 0 else 1.0, 0.0, west, 0.0, -1.0, 10.0),
    )
    plan = plan_conversion("a.tif", raster, Options())
    assert bool(plan.warnings) is warned


def test_an_error_while_a_file_is_written_that_comes_from_elsewhere_stays_what_it_is(tmp_path: Path) -> None:
    grid = Grid(CRS("EPSG:32632").to_wkt(), (10.0, 0.0, 5e5, 0.0, -10.0, 5e6), 100, 100)
    with pytest.raises(RasterioIOError, match="the source"), grid_writer(tmp_path / "a.tif", facts(), grid, 128):
        raise RasterioIOError("Read failed: the source")
