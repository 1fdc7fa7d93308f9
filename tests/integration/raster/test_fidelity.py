"""What survives: pixels, and all that a raster says about them, against GDAL's own tools and rio-cogeo's validator."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import from_origin
from rio_cogeo.cogeo import cog_validate

from services.handlers.raster import cog_conversion
from tests.fixtures import gdal
from tests.fixtures.rasters import ramp
from tests.integration.raster.world import World

PALETTE = {0: (0, 0, 0, 255), 1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 3: (0, 0, 255, 255)}
TYPES = ["uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"]
RGBA = [ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha]
DEGREES = from_origin(9, 47, 0.001, 0.001)
SAYS = {
    "tags": {"TIFFTAG_SOFTWARE": "camera", "MISSION": "spring"},
    "descriptions": ["first", "second"],
    "scales": [0.5, 2.0],
    "offsets": [10.0, 0.0],
    "units": ["metre", "kelvin"],
}


def classes() -> Any:
    return (ramp() % 4).astype("uint8")


def circle(width: int = 700, height: int = 600) -> Any:
    rows, cols = np.mgrid[0:height, 0:width]
    return (((rows - height / 2) ** 2 + (cols - width / 2) ** 2) < (height / 3) ** 2).astype("uint8") * 255


@pytest.mark.parametrize("dtype", TYPES)
def test_a_conversion_keeps_every_pixel_of_every_type(world: World, dtype: str) -> None:
    pixels = (ramp() // 2).astype(dtype)
    path = world.output(world.run("cog_conversion", world.put_raster("a.tif", pixels=pixels)))
    with rasterio.open(path) as dataset:
        assert dataset.dtypes == (dtype,)
        assert (dataset.read() == pixels).all()
    assert cog_validate(path, quiet=True)[0]


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_a_conversion_keeps_complex_pixels(world: World, dtype: str) -> None:
    pixels = (ramp() + 1j * ramp()).astype(dtype)
    path = world.output(world.run("cog_conversion", world.put_raster("a.tif", pixels=pixels)))
    assert (gdal.pixels(path) == pixels).all()


@pytest.mark.parametrize("profile", ["deflate", "zstd", "lerc"])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_every_profile_is_lossless(world: World, profile: str, dtype: str) -> None:
    pixels = ramp(dtype=dtype) * np.asarray(0.1 if dtype == "float32" else 1, dtype)
    result = world.run("cog_conversion", world.put_raster("a.tif", pixels=pixels), profile=profile)
    path = world.output(result)
    assert result["warnings"] == []
    assert (gdal.pixels(path) == pixels).all()
    with rasterio.open(path) as dataset:
        expected = "lerc_deflate" if profile == "lerc" else profile
        assert dataset.profile["compress"].lower() == expected


@pytest.mark.parametrize(
    "layout",
    [
        {"compress": "lzw"}, {"compress": "packbits"}, {"tiled": True, "blockxsize": 256, "blockysize": 256},
        {"compress": "deflate", "interleave": "pixel"}, {"compress": "zstd", "interleave": "band", "tiled": True},
        {"blockysize": 600, "compress": "deflate"}, {"bigtiff": "YES"}, {"endianness": "BIG"},
    ],
    ids=str,
)  # fmt: skip
def test_every_layout_of_a_source_gives_the_same_pixels(world: World, layout: dict[str, Any]) -> None:
    pixels = ramp(count=3, dtype="uint16")
    path = world.output(world.run("cog_conversion", world.put_raster("a.tif", pixels=pixels, **layout)))
    assert (gdal.pixels(path) == pixels).all()


@pytest.mark.parametrize("count", [1, 2, 5, 16])
def test_a_raster_keeps_its_bands_and_their_names(world: World, count: int) -> None:
    names = [f"band {n}" for n in range(count)]
    name = world.put_raster("a.tif", pixels=ramp(100, 90, count), descriptions=names)
    result = world.run("process_raster", name, resampling="nearest")
    with rasterio.open(world.output(result)) as dataset:
        assert list(dataset.descriptions) == names
    assert result["report"]["after"]["bands"] == count


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_what_a_raster_says_of_itself_survives(world: World, job_type: str) -> None:
    name = world.put_raster("a.tif", pixels=ramp(count=2, dtype="int16") * 100, nodata=-9999, **SAYS)
    result = world.run(job_type, name)
    with rasterio.open(world.output(result)) as dataset:
        assert dataset.tags()["MISSION"] == "spring"
        assert dataset.tags()["TIFFTAG_SOFTWARE"] == "camera"
        assert list(dataset.descriptions) == SAYS["descriptions"]
        assert list(dataset.scales) == SAYS["scales"]
        assert list(dataset.offsets) == SAYS["offsets"]
        assert list(dataset.units) == SAYS["units"]
        assert dataset.nodata == -9999
    assert result["warnings"] == []


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_a_palette_survives_and_its_classes_are_not_averaged(world: World, job_type: str) -> None:
    name = world.put_raster("a.tif", pixels=classes(), palette=PALETTE)
    result = world.run(job_type, name)
    path = world.output(result)
    with rasterio.open(path) as dataset:
        assert dataset.colorinterp == (ColorInterp.palette,)
        assert {key: dataset.colormap(1)[key] for key in PALETTE} == PALETTE
        assert dataset.overviews(1)
    assert set(np.unique(gdal.pixels(path))) <= set(PALETTE)
    assert result["overview_resampling"] == "mode"
    assert result["resampling"] == ("nearest" if job_type == "process_raster" else None)
    assert result["warnings"] == []


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_alpha_survives(world: World, job_type: str) -> None:
    pixels = np.concatenate([ramp(count=3), circle()[None]])
    name = world.put_raster("a.tif", pixels=pixels, colors=RGBA)
    result = world.run(job_type, name)
    with rasterio.open(world.output(result)) as dataset:
        assert list(dataset.colorinterp) == RGBA
        share = np.mean(dataset.read(4) > 0)
    before = result["report"]["before"]
    assert before["valid_pixels"] == np.count_nonzero(circle())
    assert result["report"]["after"]["valid_pixels"] == pytest.approx(before["valid_pixels"], rel=0.15)
    assert 0.2 < share < 0.5


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_a_mask_survives(world: World, job_type: str) -> None:
    name = world.put_raster("a.tif", pixels=ramp(count=3), mask=circle())
    result = world.run(job_type, name, **({"target_crs": "EPSG:32632"} if job_type == "process_raster" else {}))
    path = world.output(result)
    assert (gdal.mask(path) == (circle() > 0)).all()
    assert result["report"]["after"]["valid_pixels"] == np.count_nonzero(circle())
    assert result["warnings"] == []


def test_a_mask_is_warped_with_its_pixels(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(count=3), mask=circle())
    result = world.run("process_raster", name, resampling="nearest")
    source = world.folder / "made.tif"
    expected = gdal.mask(gdal.warp(source, world.folder / "w.tif", "-t_srs", "EPSG:4326", "-dstalpha"))
    found = gdal.mask(world.output(result))
    assert found.shape == expected.shape
    assert np.mean(found == expected) > 0.999
    assert result["report"]["after"]["mask"]


@gdal.needs_gdal
@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic"])
def test_a_warp_gives_what_gdalwarp_gives(world: World, resampling: str) -> None:
    # Nearest shows every shift, for all neighbours differ; a smooth surface shows how far off an average is.
    rows, cols = np.mgrid[0:800, 0:900]
    smooth = (8000 + 4000 * np.sin(rows / 40) + 3000 * np.cos(cols / 30))[None].astype("int16")
    pixels = ramp(900, 800, dtype="int16") if resampling == "nearest" else smooth
    name = world.put_raster("a.tif", pixels=pixels, nodata=-1)
    path = world.output(world.run("process_raster", name, resampling=resampling, optimize="none"))
    options = ["-t_srs", "EPSG:4326", "-r", resampling, "-et", "0"]
    expected = gdal.pixels(gdal.warp(world.folder / "made.tif", world.folder / "w.tif", *options))
    found = gdal.pixels(path)
    assert found.shape == expected.shape
    assert np.mean(np.abs(found.astype(float) - expected) <= (0 if resampling == "nearest" else 2)) > 0.995


@gdal.needs_gdal
def test_gdalinfo_reads_the_output_as_a_cog_in_its_crs(world: World) -> None:
    path = world.output(world.run("process_raster", world.put_raster("a.tif", pixels=ramp(count=3))))
    found = gdal.info(path)
    assert found["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"
    assert found["metadata"]["IMAGE_STRUCTURE"]["COMPRESSION"] == "DEFLATE"
    assert found["stac"]["proj:epsg"] == 4326
    assert len(found["bands"]) == 3


@pytest.mark.parametrize(
    ("values", "nodata", "dtype"),
    [
        ([0, 255], None, "uint8"), ([-1, 100], None, "int8"), ([0, 300], None, "uint16"), ([-300, 300], None, "int16"),
        ([0, 70_000], None, "uint32"), ([-70_000, 5], None, "int32"), ([0, 200], -9999, "int16"),
        ([0.5, 3], None, "float32"), ([1, 2], float("nan"), "float32"), ([0, 200], 255, "uint8"),
    ],
    ids=str,
)  # fmt: skip
def test_the_smallest_integer_type_that_loses_nothing_is_taken(
    world: World, values: list[float], nodata: float | None, dtype: str
) -> None:
    pixels = np.resize(np.asarray(values, "float32"), (1, 40, 50))
    name = world.put_raster("a.tif", pixels=pixels, nodata=nodata, crs="EPSG:4326", transform=DEGREES)
    result = world.run("process_raster", name)
    assert result["report"]["after"]["dtype"] == dtype
    assert (gdal.pixels(world.output(result)).astype("float64") == pixels).all()


def test_optimize_none_keeps_the_type(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(dtype="float64"))
    result = world.run("process_raster", name, optimize="none")
    assert result["report"]["after"]["dtype"] == "float64"


def test_native_keeps_crs_and_pixels(world: World) -> None:
    name = world.put_raster("a.tif")
    result = world.run("process_raster", name, target_crs="native")
    assert (gdal.pixels(world.output(result)) == ramp()).all()
    assert result["report"]["after"]["crs"] == "EPSG:32632"


def test_a_raster_whose_pixels_are_points_stays_where_it_is(world: World) -> None:
    name = world.put_raster("a.tif", tags={"AREA_OR_POINT": "Point"})
    with rasterio.open(world.output(world.run("cog_conversion", name))) as dataset:
        assert dataset.tags()["AREA_OR_POINT"] == "Point"
        with rasterio.open(world.folder / "made.tif") as source:
            assert dataset.bounds == source.bounds


def test_tags_with_letters_that_xml_forbids_lose_only_those(world: World) -> None:
    name = world.put_raster("a.tif", tags={"NOTE": "<&> ü", "TIFFTAG_ARTIST": "one\x01two"})
    result = world.run("cog_conversion", name)
    with rasterio.open(world.output(result)) as dataset:
        assert dataset.tags()["NOTE"] == "<&> ü"
        assert dataset.tags()["TIFFTAG_ARTIST"] == "onetwo"
    assert [warning["code"] for warning in result["warnings"]] == ["metadata_changed"]


def test_the_target_crs_can_be_chosen(world: World) -> None:
    result = world.run("process_raster", world.put_raster("a.tif"), target_crs="EPSG:3035")
    with rasterio.open(world.output(result)) as dataset:
        assert dataset.crs.to_epsg() == 3035


def test_what_the_caller_says_of_crs_and_nodata_holds(world: World) -> None:
    name = world.put_raster("a.tif", crs=None)
    result = world.run("process_raster", name, source_crs="EPSG:32632", nodata=7)
    assert result["report"]["before"]["crs"] == "EPSG:32632"
    assert result["report"]["after"]["nodata"] == 7
    assert result["report"]["before"]["valid_pixels"] == np.count_nonzero(ramp() != 7)


def test_another_crs_than_the_files_is_a_warning(world: World) -> None:
    result = world.run("process_raster", world.put_raster("a.tif"), source_crs="EPSG:32633")
    assert [warning["code"] for warning in result["warnings"]] == ["source_crs_overridden"]


def test_every_step_has_its_duration_and_the_report_both_sides(world: World) -> None:
    result = world.run("process_raster", world.put_raster("a.tif"))
    steps = {"validate", "reproject", "optimize", "create_cog", "validate_cog", "catalog_stac"}
    assert steps <= set(result["processing_stats"])
    for side in ("before", "after"):
        assert {"bands", "dtype", "nodata", "crs", "valid_pixels", "minimum", "maximum"} <= set(result["report"][side])
    assert result["cog_path"] == "silver/bronze/a/v1.tif"


def test_many_overviews_are_made_and_the_cog_is_valid(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(2500, 2100))
    path = world.output(world.run("cog_conversion", name))
    valid, faults, warnings = cog_validate(path, quiet=True)
    assert (valid, faults, warnings) == (True, [], [])
    with rasterio.open(path) as dataset:
        assert len(dataset.overviews(1)) >= 3


def test_validate_tells_what_it_found_and_what_would_be_done(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(dtype="float32"), compress="lzw", nodata=0)
    result = world.run("validate_raster", name)
    assert result["valid"]
    assert (result["dtype"], result["compression"], result["crs"]) == ("float32", "lzw", "EPSG:32632")
    assert result["statistics"][0]["valid_pixels"] == 420_000
    assert not result["cog"]["valid"]
    assert result["cog"]["errors"]
    assert result["process_raster"]["reproject"]
    assert world.published() == []


def test_validate_knows_a_cog(world: World) -> None:
    made = world.run("cog_conversion", world.put_raster("a.tif"))
    name = world.put("cog.tif", world.output(made).read_bytes())
    assert world.run("validate_raster", name)["cog"]["valid"]


def test_a_source_in_strips_is_cut_into_tiles_first_and_nothing_changes(world: World) -> None:
    world.handlers["cog_conversion"] = partial(cog_conversion, cache_bytes=1000)
    name = world.put_raster("a.tif", pixels=ramp(count=3), mask=circle(), compress="lzw")
    path = world.output(world.run("cog_conversion", name))
    assert (gdal.pixels(path) == ramp(count=3)).all()
    assert (gdal.mask(path) == (circle() > 0)).all()


def test_the_same_source_gives_the_same_file(world: World) -> None:
    name = world.put_raster("a.tif")
    first = world.output(world.run("process_raster", name)).read_bytes()
    assert world.output(world.run("process_raster", name)).read_bytes() == first
