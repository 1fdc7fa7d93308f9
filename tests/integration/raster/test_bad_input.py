"""Bad input: each a clear error or a right result, and nothing half-written under an output's name."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import rasterio
from pydantic import ValidationError
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine, from_origin

from repositories.fake_blobs import FakeBlobs
from schema.errors import GeostageError, PermanentError, SourceChanged, TaskInterrupted, TransientError
from schema.jobs import Source
from services.raster import errors
from tests.integration.raster import gdal
from tests.integration.raster.world import World
from tests.stored import get_item
from tests.unit.raster.rasters import ramp, write_bytes

JOB_TYPES = ["validate_raster", "cog_conversion", "process_raster"]
LOCAL = 'ENGCRS["site",EDATUM["here"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'
VRT = (
    b'<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
    b"<SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
)


def refused(world: World, job_type: str, name: str, code: str, kind: type[GeostageError] = PermanentError) -> str:
    """The job fails with this code, says what to do, and publishes nothing."""
    with pytest.raises(kind) as raised:
        world.run(job_type, name)
    assert raised.value.error_code == code
    assert raised.value.remediation
    assert str(world.folder) not in raised.value.message
    assert "/tmp" not in raised.value.message  # noqa: S108
    assert world.published() == []
    return raised.value.message


@pytest.mark.parametrize("job_type", JOB_TYPES)
def test_zero_bytes(world: World, job_type: str) -> None:
    assert "empty" in refused(world, job_type, world.put("a.tif", b""), "file_empty")


@pytest.mark.parametrize("job_type", JOB_TYPES)
@pytest.mark.parametrize(
    ("data", "looks_like"),
    [(b"these are words\n" * 50, "text"), (VRT, "VRT"), (b"\x89PNG\r\n" + bytes(99), "PNG"), (bytes(500), "unknown")],
)
def test_another_file_renamed_to_tif(world: World, job_type: str, data: bytes, looks_like: str) -> None:
    assert looks_like in refused(world, job_type, world.put("a.tif", data), "wrong_format")


@pytest.mark.parametrize("job_type", JOB_TYPES)
def test_a_tiff_that_is_nothing_but_its_first_bytes(world: World, job_type: str) -> None:
    refused(world, job_type, world.put("a.tif", b"II*\0" + bytes(60)), "raster_unreadable")


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://example.org/a.tif", "http://example.org/a.tif", "a.vrt", "/vsimem/a"]
)
def test_a_virtual_path_or_a_vrt_as_resource_id_is_refused_at_the_post(world: World, name: str) -> None:
    with pytest.raises(ValidationError, match="must be the name of a GeoTIFF blob"):
        world.run("process_raster", name)


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_was_cut_off(world: World, job_type: str, share: float) -> None:
    # A COG has its header in front, so that the header can still be read.
    data = world.output(world.run("cog_conversion", world.put_raster("whole.tif", pixels=noise()))).read_bytes()
    world.blobs.containers.pop("silver")
    name = world.put("a.tif", data[: int(len(data) * share)])
    assert "blocks cannot be read" in refused(world, job_type, name, "raster_damaged")


def noise() -> Any:
    return np.random.default_rng(1).integers(0, 255, (1, 1500, 1500)).astype("uint8")


def damaged(world: World) -> str:
    data = bytearray(write_bytes(world.folder / "d.tif", pixels=noise(), compress="deflate", tiled=True,
                                 blockxsize=256, blockysize=256))  # fmt: skip
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    return world.put("a.tif", bytes(data))


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_a_damaged_block_in_the_middle_is_named(world: World, job_type: str) -> None:
    message = refused(world, job_type, damaged(world), "raster_damaged")
    assert re.search(r"1 of its blocks .* block row 2, column \d", message)


def test_validate_lists_damaged_blocks_and_reads_the_others(world: World) -> None:
    result = world.run("validate_raster", damaged(world))
    assert not result["valid"]
    assert (result["blocks"], result["damaged_blocks"]) == (36, 1)
    assert len(result["first_damaged_blocks"]) == 1
    assert result["valid_pixels"] >= 1500 * 1500 - 256 * 256


@pytest.mark.parametrize("job_type", ["validate_raster", "process_raster"])
def test_no_crs_is_refused_with_source_crs_as_the_remedy(world: World, job_type: str) -> None:
    name = world.put_raster("a.tif", crs=None)
    with pytest.raises(PermanentError) as raised:
        world.run(job_type, name)
    assert raised.value.error_code == "crs_missing"
    assert "source_crs" in raised.value.remediation
    assert world.published() == []
    with world.database.connection() as conn:
        assert get_item(conn, "nocrs", "a-v1") is None


def test_no_crs_is_a_warning_of_a_conversion(world: World) -> None:
    result = world.run("cog_conversion", world.put_raster("a.tif", crs=None))
    assert [warning["code"] for warning in result["warnings"]] == ["crs_missing"]
    assert (gdal.pixels(world.output(result)) == ramp()).all()


def test_a_crs_without_a_place(world: World) -> None:
    refused(world, "process_raster", world.put_raster("a.tif", transform=None), "not_georeferenced")


def test_a_crs_that_nobody_knows(world: World) -> None:
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", world.put_raster("a.tif"), target_crs="EPSG:999999")
    assert raised.value.error_code == "crs_unknown"


@pytest.mark.parametrize("job_type", ["validate_raster", "process_raster"])
def test_a_local_crs_has_no_place_on_earth(world: World, job_type: str) -> None:
    refused(world, job_type, world.put_raster("a.tif", crs=rasterio.CRS.from_wkt(LOCAL)), "crs_not_transformable")


def test_a_rotated_raster_is_turned_north_up(world: World) -> None:
    turned = Affine.translation(9, 47) @ Affine.rotation(30) @ Affine.scale(0.001, -0.001)
    result = world.run("process_raster", world.put_raster("a.tif", crs="EPSG:4326", transform=turned))
    with rasterio.open(world.output(result)) as dataset:
        assert dataset.transform.b == dataset.transform.d == 0
        assert dataset.bounds.left == pytest.approx(9, abs=0.01)
    after = result["report"]["after"]
    assert after["valid_pixels"] == pytest.approx(420_000, rel=0.01)
    assert after["mask"]


def test_a_rotated_raster_stays_rotated_when_it_is_converted(world: World) -> None:
    turned = Affine.translation(9, 47) @ Affine.rotation(30) @ Affine.scale(0.001, -0.001)
    result = world.run("cog_conversion", world.put_raster("a.tif", crs="EPSG:4326", transform=turned))
    with rasterio.open(world.output(result)) as dataset:
        assert dataset.transform.almost_equals(turned)


GCPS = [
    GroundControlPoint(row, col, 500_000 + col * 10, 5_200_000 - row * 10)
    for row, col in ((0, 0), (0, 700), (600, 0), (600, 700), (300, 350))
]


@pytest.mark.parametrize("target", ["EPSG:4326", "native"])
def test_ground_control_points_alone_place_a_raster(world: World, target: str) -> None:
    name = world.put_raster("a.tif", gcps=GCPS)
    result = world.run("process_raster", name, target_crs=target)
    with rasterio.open(world.output(result)) as dataset:
        left, top = (9.0, 46.953529) if target == "EPSG:4326" else (500_000, 5_200_000)
        assert (dataset.bounds.left, dataset.bounds.top) == pytest.approx((left, top), rel=1e-5)
    assert result["report"]["after"]["valid_pixels"] > 300_000


def test_ground_control_points_survive_a_conversion(world: World) -> None:
    result = world.run("cog_conversion", world.put_raster("a.tif", gcps=GCPS))
    with rasterio.open(world.output(result)) as dataset:
        points, crs = dataset.gcps
    assert [(p.row, p.col, p.x, p.y) for p in points] == [(p.row, p.col, p.x, p.y) for p in GCPS]
    assert crs.to_epsg() == 32632


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_nan_everywhere_is_said_aloud(world: World, job_type: str) -> None:
    name = world.put_raster("a.tif", pixels=np.full((1, 300, 300), np.nan, "float32"))
    result = world.run(job_type, name)
    codes = {warning["code"] for warning in result["warnings"]}
    assert codes == {"no_valid_pixels", "nan_is_nodata"}
    assert result["report"]["after"]["valid_pixels"] == 0
    assert result["report"]["after"]["minimum"] is None


def test_nan_without_a_word_is_taken_for_nodata_and_said(world: World) -> None:
    pixels = ramp(dtype="float32") + np.float32(0.5)
    pixels[:, 100:200] = np.nan
    result = world.run("process_raster", world.put_raster("a.tif", pixels=pixels))
    assert result["report"]["after"]["nodata"] == "nan"
    assert [warning["code"] for warning in result["warnings"]] == ["nan_is_nodata"]
    assert result["report"]["before"]["valid_pixels"] == 700 * 500


def test_complex_pixels_are_not_reprojected(world: World) -> None:
    refused(world, "process_raster", world.put_raster("a.tif", pixels=ramp().astype("complex64")), "unsupported_dtype")


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_a_hundred_bands(world: World, job_type: str) -> None:
    name = world.put_raster("a.tif", pixels=ramp(300, 200, 100, "float32"))
    result = world.run(job_type, name)
    assert result["report"]["after"]["bands"] == 100


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
def test_one_pixel(world: World, job_type: str) -> None:
    result = world.run(job_type, world.put_raster("a.tif", pixels=ramp(1, 1)))
    assert result["report"]["after"]["valid_pixels"] == 1
    assert (gdal.pixels(world.output(result)) == 1).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1_000_000), (1_000_000, 1)])
def test_a_million_pixels_in_one_line(world: World, width: int, height: int) -> None:
    pixels = (np.arange(1_000_000) % 251).astype("uint8").reshape(1, height, width)
    name = world.put_raster("a.tif", pixels=pixels, transform=from_origin(500_000, 5_200_000, 0.5, 0.5), compress="lzw")
    result = world.run("process_raster", name, target_crs="native")
    assert (gdal.pixels(world.output(result)) == pixels).all()


def test_a_line_that_would_become_a_plain_is_refused(world: World) -> None:
    pixels = np.ones((1, 1_000_000, 1), "uint8")
    name = world.put_raster("a.tif", pixels=pixels, transform=from_origin(900_000, 9_000_000, 5, 5), compress="lzw")
    assert "native" in refused_remedy(world, name, "output_too_large")


def refused_remedy(world: World, name: str, code: str) -> str:
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", name, max_raster_size_gb=0.01)
    assert raised.value.error_code == code
    return raised.value.remediation


def test_longitudes_from_0_to_360_keep_their_pixels_and_cover_the_world(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 360), crs="EPSG:4326", transform=from_origin(0, 90, 0.5, 0.5))
    result = world.run("process_raster", name, collection_id="turned")
    assert (gdal.pixels(world.output(result)) == ramp(720, 360)).all()
    assert item_of(world, "turned")["bbox"] == [-180, -90, 180, 90]


@pytest.mark.parametrize("target", ["EPSG:3857", "EPSG:4258"])
def test_longitudes_from_0_to_360_are_not_reprojected_by_halves(world: World, target: str) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 360), crs="EPSG:4326", transform=from_origin(0, 90, 0.5, 0.5))
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", name, target_crs=target)
    assert raised.value.error_code == "longitudes_beyond_180"


def test_the_whole_world_becomes_web_mercator_up_to_85_degrees(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 360), crs="EPSG:4326", transform=from_origin(-180, 90, 0.5, 0.5))
    result = world.run("process_raster", name, target_crs="EPSG:3857", collection_id="mercator")
    with rasterio.open(world.output(result)) as dataset:
        assert list(dataset.bounds) == pytest.approx([-20037508, -20048966, 20037508, 20048966], rel=0.005)
        assert dataset.width == 720
    assert result["report"]["after"]["valid_pixels"] > 500_000
    assert item_of(world, "mercator")["bbox"] == pytest.approx([-180, -85.06, 180, 85.06], abs=0.5)


def test_a_piece_beyond_180_degrees_lies_in_the_west(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(100, 100), crs="EPSG:4326", transform=from_origin(190, 10, 0.1, 0.1))
    world.run("process_raster", name, collection_id="west")
    assert item_of(world, "west")["bbox"] == [-170, 0, -160, 10]


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -90), ("EPSG:3413", 90)])
def test_a_raster_over_a_pole(world: World, crs: str, pole: int) -> None:
    place = from_origin(-1_000_000, 1_000_000, 10_000, 10_000)
    name = world.put_raster("a.tif", pixels=ramp(200, 200), crs=crs, transform=place)
    result = world.run("process_raster", name, collection_id=f"pole{pole}")
    with rasterio.open(world.output(result)) as dataset:
        assert (dataset.bounds.left, dataset.bounds.right) == pytest.approx((-180, 180), abs=0.2)
        assert pole in (round(dataset.bounds.top), round(dataset.bounds.bottom))
        row = 1 if pole > 0 else dataset.height - 2
        assert (dataset.read_masks(1)[row] > 0).all()
    found = item_of(world, f"pole{pole}")
    assert found["bbox"][0::2] == [-180, 180]
    assert pole in found["bbox"]


def test_a_raster_over_the_antimeridian_stays_in_one_piece(world: World) -> None:
    place = from_origin(650_000, 6_000_000, 100, 100)
    name = world.put_raster("a.tif", pixels=ramp(1500, 500), crs="EPSG:32660", transform=place)
    result = world.run("process_raster", name, collection_id="fiji")
    after = result["report"]["after"]
    assert after["width"] * after["height"] < 1_500_000
    assert after["valid_pixels"] == pytest.approx(750_000, rel=0.7)
    west, _, east, _ = item_of(world, "fiji")["bbox"]
    assert 179 < west <= 180
    assert -180 <= east < -177


def test_a_name_with_spaces_and_letters_of_other_scripts(world: World) -> None:
    name = world.put_raster("höhen modell/Ängste & 地図 (1).tif")
    result = world.run("process_raster", name, collection_id="names", version_id="v 2")
    assert result["cog_path"] == "silver/bronze/höhen modell/Ängste & 地図 (1)/v 2.tif"
    assert world.published() == ["bronze/höhen modell/Ängste & 地図 (1)/v 2.tif"]
    with world.database.connection() as conn:
        item = get_item(conn, "names", result["stac_id"])
    assert item is not None
    assert re.fullmatch(r"[\x21-\x7e]+", item["assets"]["data"]["href"])


def test_a_raster_over_the_limit_is_refused_before_it_is_downloaded(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: Any) -> None:
        raise AssertionError(f"downloads {args}")

    monkeypatch.setattr(FakeBlobs, "download", refuse)
    name = world.put_raster("a.tif", pixels=ramp())
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", name, max_raster_size_gb=0.0001)
    assert raised.value.error_code == "raster_too_large"
    assert "process_large_raster" in raised.value.remediation


def test_a_full_disk_is_noticed_before_work_starts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    refused(world, "process_raster", world.put_raster("a.tif"), "disk_full", errors.DiskFull)


def test_a_disk_that_fills_up_on_the_way(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("rasterio.shutil.copy", no_space)
    refused(world, "process_raster", world.put_raster("a.tif"), "disk_full", TransientError)


def test_a_source_that_was_replaced_after_the_post(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = world.put_raster("a.tif")
    accepted = world.blobs.head("bronze", name)
    monkeypatch.setattr(FakeBlobs, "head", lambda *_: accepted)
    world.put_raster("a.tif", pixels=ramp(20, 20))
    refused(world, "process_raster", name, "source_changed", SourceChanged)


def test_a_source_that_is_replaced_between_the_look_and_the_download(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    download = FakeBlobs.download

    def replaced(blobs: FakeBlobs, source: Source, path: Any) -> None:
        blobs.write(source.container, source.blob, b"another")
        download(blobs, source, path)

    monkeypatch.setattr(FakeBlobs, "download", replaced)
    refused(world, "process_raster", world.put_raster("a.tif"), "source_changed", SourceChanged)


def test_a_cancelled_task_stops_at_the_next_block_and_leaves_nothing(world: World) -> None:
    looks = iter([False] * 3)
    world.lost = lambda: next(looks, True)
    name = world.put_raster("a.tif", pixels=ramp(2000, 2000))
    with pytest.raises(TaskInterrupted):
        world.run("process_raster", name, collection_id="cancelled")
    assert world.published() == []
    with world.database.connection() as conn:
        assert get_item(conn, "cancelled", "a-v1") is None


def test_nodata_that_no_pixel_can_have(world: World) -> None:
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", world.put_raster("a.tif"), nodata=-9999)
    assert raised.value.error_code == "nodata_out_of_range"


def test_one_strip_for_a_whole_compressed_raster(world: World) -> None:
    pixels = ramp(3000, 2500, 3)
    name = world.put_raster("a.tif", pixels=pixels, compress="deflate", blockysize=2500, interleave="pixel")
    assert (gdal.pixels(world.output(world.run("cog_conversion", name))) == pixels).all()


def item_of(world: World, collection: str) -> Any:
    with world.database.connection() as conn:
        return get_item(conn, collection, "a-v1")


@pytest.mark.parametrize("crs", ["EPSG:4978", "EPSG:5773"], ids=["geocentric", "vertical"])
def test_a_target_crs_without_plane_coordinates(world: World, crs: str) -> None:
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", world.put_raster("a.tif"), target_crs=crs)
    assert raised.value.error_code in ("crs_not_plane", "crs_not_transformable")
    assert crs in raised.value.message
    assert world.published() == []


def test_degrees_that_lie_nowhere_on_earth(world: World) -> None:
    name = world.put_raster("a.tif", crs="EPSG:4326", transform=from_origin(1000, 1010, 1, 1))
    assert "nowhere on Earth" in refused(world, "process_raster", name, "not_on_earth")


def test_two_files_whose_names_make_one_id(world: World) -> None:
    first = world.run("process_raster", world.put_raster("a b.tif"))
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", world.put_raster("a-b.tif"))
    assert raised.value.error_code == "item_taken"
    assert "bronze/a b.tif" in raised.value.message
    assert world.published() == [first["cog_path"].partition("/")[2]]
