"""Bad input: each a clear error or a right result, and nothing half-written under an output's name."""

from __future__ import annotations

import re
import shutil
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
from rasterio.transform import from_origin

from repositories.storage.fake_blobs import FakeBlobs
from schema.errors import InvalidRequest, SourceChanged, TaskInterrupted, TransientError
from schema.jobs import Source
from services.raster import errors
from tests.fixtures import gdal
from tests.fixtures.rasters import ramp, write_bytes
from tests.fixtures.stored import get_item
from tests.integration.raster.refusals import refused
from tests.integration.raster.world import World

JOB_TYPES = ["validate_raster", "cog_conversion", "process_raster"]
VRT = (
    b'<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
    b"<SourceFilename>/etc/passwd</SourceFilename></SimpleSource></VRTRasterBand></VRTDataset>"
)


@pytest.mark.parametrize("job_type", JOB_TYPES)
def test_zero_bytes(world: World, job_type: str) -> None:
    assert "empty" in refused(world, job_type, world.put("a.tif", b""), "file_empty").message


@pytest.mark.parametrize("job_type", JOB_TYPES)
@pytest.mark.parametrize(
    ("data", "looks_like"),
    [(b"these are words\n" * 50, "text"), (VRT, "VRT"), (b"\x89PNG\r\n" + bytes(99), "PNG"), (bytes(500), "unknown")],
)
def test_another_file_renamed_to_tif(world: World, job_type: str, data: bytes, looks_like: str) -> None:
    assert looks_like in refused(world, job_type, world.put("a.tif", data), "wrong_format").message


@pytest.mark.parametrize("job_type", JOB_TYPES)
def test_a_tiff_that_is_nothing_but_its_first_bytes(world: World, job_type: str) -> None:
    refused(world, job_type, world.put("a.tif", b"II*\0" + bytes(60)), "raster_unreadable")


@pytest.mark.parametrize(
    "name", ["/vsicurl/http://example.org/a.tif", "http://example.org/a.tif", "a.vrt", "/vsimem/a"]
)
def test_a_virtual_path_or_a_vrt_as_resource_id_is_refused_at_the_post(world: World, name: str) -> None:
    with pytest.raises(InvalidRequest, match="must be the name of a GeoTIFF blob"):
        world.run("process_raster", name)


@pytest.mark.parametrize("job_type", ["cog_conversion", "process_raster"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_that_was_cut_off(world: World, job_type: str, share: float) -> None:
    # A COG has its header in front, so that the header can still be read.
    data = world.output(world.run("cog_conversion", world.put_raster("whole.tif", pixels=noise()))).read_bytes()
    world.blobs.containers.pop("silver")
    name = world.put("a.tif", data[: int(len(data) * share)])
    assert "blocks cannot be read" in refused(world, job_type, name, "raster_damaged").message


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
    message = refused(world, job_type, damaged(world), "raster_damaged").message
    assert re.search(r"1 of its blocks .* block row 2, column \d", message)


def test_validate_lists_damaged_blocks_and_reads_the_others(world: World) -> None:
    result = world.run("validate_raster", damaged(world))
    assert not result["valid"]
    assert (result["blocks"], result["damaged_blocks"]) == (36, 1)
    assert len(result["first_damaged_blocks"]) == 1
    assert result["valid_pixels"] >= 1500 * 1500 - 256 * 256


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
    error = refused(world, "process_raster", name, "output_too_large", max_raster_size_gb=0.01)
    assert "native" in error.remediation


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
    error = refused(world, "process_raster", name, "raster_too_large", max_raster_size_gb=0.0001)
    assert "process_large_raster" in error.remediation


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
    world.before_task = lambda ctx: setattr(ctx, "lost", lambda: next(looks, True))
    name = world.put_raster("a.tif", pixels=ramp(2000, 2000))
    with pytest.raises(TaskInterrupted):
        world.run("process_raster", name, collection_id="cancelled")
    assert world.published() == []
    with world.database.connection() as conn:
        assert get_item(conn, "cancelled", "a-v1") is None


def test_nodata_that_no_pixel_can_have(world: World) -> None:
    refused(world, "process_raster", world.put_raster("a.tif"), "nodata_out_of_range", nodata=-9999)


def test_one_strip_for_a_whole_compressed_raster(world: World) -> None:
    pixels = ramp(3000, 2500, 3)
    name = world.put_raster("a.tif", pixels=pixels, compress="deflate", blockysize=2500, interleave="pixel")
    assert (gdal.pixels(world.output(world.run("cog_conversion", name))) == pixels).all()


def test_two_files_whose_names_make_one_id(world: World) -> None:
    first = world.run("process_raster", world.put_raster("a b.tif"))
    assert "bronze/a b.tif" in refused(world, "process_raster", world.put_raster("a-b.tif"), "item_taken").message
    assert world.published() == [first["cog_path"].partition("/")[2]]
