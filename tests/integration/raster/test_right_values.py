"""Kinds of rasters that other programs' users found wrong values for: each with the values that are right."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.transform import from_origin
from shapely import Point
from shapely.geometry import shape

from schema.jobs import Json
from tests.fixtures import gdal
from tests.fixtures.rasters import Array, ramp, write_raster
from tests.fixtures.stored import get_item
from tests.integration.raster.refusals import refused
from tests.integration.raster.world import World

SINUSOIDAL = "+proj=sinu +lon_0=0 +R=6371007.181 +units=m +no_defs"
PIXELS = ramp(256, 256)


def patched() -> Array:
    """120 with a black patch of a sixteenth of the raster."""
    pixels = np.full((1, 256, 256), 120, "uint8")
    pixels[:, 64:128, 64:128] = 0
    return pixels


def half_mask() -> Array:
    mask = np.full((256, 256), 255, "uint8")
    mask[:32] = 0
    return mask


def codes(result: Json) -> list[str]:
    return [warning["code"] for warning in result["warnings"]]


def item_of(world: World, collection: str) -> Any:
    with world.database.connection() as conn:
        return get_item(conn, collection, "a-v1")


@pytest.mark.parametrize("lon_0", [0, 140.7])
def test_an_image_of_the_whole_disk_reaches_as_far_as_the_earth(world: World, lon_0: float) -> None:
    side, half = 300, 5_500_000
    place = from_origin(-half, half, 2 * half / side, 2 * half / side)
    crs = CRS.from_proj4(f"+proj=geos +h=35785831 +lon_0={lon_0} +a=6378137 +b=6356752.31414 +type=crs").to_wkt()
    pixels = np.full((1, side, side), 300, "uint16")
    name = world.put_raster("a.tif", pixels=pixels, crs=crs, transform=place)
    result = world.run("process_raster", name, collection_id=f"disk{lon_0:.0f}")
    with rasterio.open(world.output(result)) as dataset:
        assert dataset.bounds.top == pytest.approx(81, abs=1.5)
        assert dataset.bounds.bottom == pytest.approx(-81, abs=1.5)
        rows = np.flatnonzero((dataset.read_masks(1) > 0).any(axis=1))
        ends = dataset.xy(rows[0], 0)[1], dataset.xy(rows[-1], 0)[1]
    assert min(abs(end) for end in ends) > 78
    west, south, east, north = item_of(world, f"disk{lon_0:.0f}")["bbox"]
    assert (south, north) == pytest.approx((-81.3, 81.3), abs=0.5)
    assert (west, east) == pytest.approx(((lon_0 - 81.3), (lon_0 + 81.3 + 180) % 360 - 180), abs=0.5)
    assert "valid_share_differs" not in codes(result)


def test_a_tile_that_reaches_beyond_the_world_ends_at_its_edge(world: World) -> None:
    size = 1_111_950.5196666666 / 240
    place = from_origin(-20_015_109.354 + 11 * 240 * size, 7_783_653.637667, size, size)
    name = world.put_raster("a.tif", pixels=ramp(240, 240), crs=SINUSOIDAL, transform=place)
    world.run("process_raster", name, collection_id="modis")
    found = item_of(world, "modis")
    assert found["bbox"] == pytest.approx([-180, 60, -120, 70], abs=0.1)
    outline = shape(found["geometry"])
    assert outline.contains(Point(-170, 69))
    assert not outline.intersects(Point(170, 69).buffer(5))


@pytest.mark.parametrize(
    ("crs", "size", "metres"),
    [
        ("EPSG:4326", (0.001, 0.001), 111.13),
        ("EPSG:32632", (10, 10), 10.0),
        ("EPSG:32632", (10, 30), 30.0),
        ("EPSG:2263", (10, 10), 3.048),
        ("EPSG:4807", (0.001, 0.001), 100.0),
    ],
)
def test_resolution_is_in_metres(world: World, crs: str, size: tuple[float, float], metres: float) -> None:
    corner = {"EPSG:4326": (10, 45), "EPSG:32632": (500_000, 5_200_000), "EPSG:2263": (980_000, 200_000)}
    place = from_origin(*corner.get(crs, (2, 50)), *size)
    name = world.put_raster("a.tif", pixels=ramp(100, 100), crs=crs, transform=place)
    collection = f"metres-{crs[5:]}-{size[1]}".replace(".", "-")
    world.run("process_raster", name, target_crs="native", collection_id=collection)
    found = item_of(world, collection)
    assert found["assets"]["data"]["raster:spatial_resolution"] == pytest.approx(metres, rel=0.002)
    assert found["properties"]["gsd"] == pytest.approx(metres, rel=0.002)


@pytest.mark.parametrize("resource", ["T33UUP_20230517T103629_SCL_20m.tif", "a.tif"])
def test_classes_are_not_averaged_and_the_report_says_why(world: World, resource: str) -> None:
    pixels = np.random.default_rng(1).choice(np.asarray([2, 4, 5, 6, 8, 11], "uint8"), (1, 300, 300))
    name = world.put_raster(resource, pixels=pixels)
    result = world.run("process_raster", name, collection_id="classes")
    assert set(np.unique(gdal.pixels(world.output(result)))) <= {0, 2, 4, 5, 6, 8, 11}
    assert (result["resampling"], result["overview_resampling"]) == ("nearest", "mode")
    assert ("scl" if resource != "a.tif" else "6 different") in result["resampling_reason"]
    result = world.run("process_raster", name, resampling="bilinear", collection_id="classes")
    assert (result["resampling"], result["resampling_reason"]) == ("bilinear", "It was requested.")
    assert 7 in gdal.pixels(world.output(result))


@pytest.mark.parametrize("target", ["EPSG:4326", "native"])
def test_a_mask_wins_over_nodata(world: World, target: str) -> None:
    name = world.put_raster("a.tif", pixels=patched(), nodata=0, mask=half_mask())
    result = world.run("process_raster", name, target_crs=target)
    before, after = result["report"]["before"], result["report"]["after"]
    assert before["valid_pixels"] == 256 * 224
    assert (before["minimum"], before["maximum"]) == (0, 120)
    assert before["band_statistics"][0]["mean"] == pytest.approx(111.43, abs=0.01)
    assert after["minimum"] == 0
    path = world.output(result)
    pixels, valid = gdal.pixels(path)[0], gdal.mask(path)
    assert np.mean(pixels[valid] == 0) == pytest.approx(64 * 64 / (256 * 224), rel=0.1)
    assert codes(result) == ["nodata_ignored"]


@pytest.mark.parametrize("nodata", [0, 255])
def test_alpha_wins_over_nodata_of_the_same_value(world: World, nodata: int) -> None:
    alpha = np.full((1, 256, 256), 255, "uint8")
    alpha[:, :32] = 0
    pixels = np.concatenate([patched(), alpha])
    colors = [ColorInterp.gray, ColorInterp.alpha]
    name = world.put_raster("a.tif", pixels=pixels, nodata=nodata, colors=colors)
    result = world.run("process_raster", name)
    assert result["report"]["before"]["valid_pixels"] == 256 * 224
    with rasterio.open(world.output(result)) as dataset:
        block = dataset.read()
    assert set(np.unique(block[1])) >= {0, 255}
    assert np.mean(block[1] > 0) == pytest.approx(0.82, abs=0.08)
    assert block[0][block[1] == 255].min() == 0


def test_nodata_none_takes_zeros_for_data(world: World) -> None:
    name = world.put_raster("a.tif", pixels=patched(), nodata=0)
    result = world.run("process_raster", name, nodata="none", resampling="nearest")
    path = world.output(result)
    pixels, valid = gdal.pixels(path)[0], gdal.mask(path)
    assert result["report"]["after"]["valid_pixels"] == np.count_nonzero(valid)
    assert np.mean(pixels[valid] == 0) == pytest.approx(1 / 16, abs=0.003)


@pytest.mark.parametrize(("code", "named"), [(50_002, "JXL"), (34_712, "JP2000")])
def test_a_codec_that_is_not_there_is_named(world: World, code: int, named: str) -> None:
    data = write_raster(world.folder / "a.tif", PIXELS).read_bytes()
    name = world.put("a.tif", with_compression(data, code))
    message = refused(world, "process_raster", name, "codec_not_supported").message
    assert named in message
    assert "damaged" not in message


def with_compression(data: bytes, code: int) -> bytes:
    """A little-endian TIFF that says that its pixels are compressed in another way."""
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    changed = bytearray(data)
    for at in range(start + 2, start + 2 + 12 * count, 12):
        if struct.unpack_from("<H", data, at) == (259,):
            struct.pack_into("<H", changed, at + 8, code)
    return bytes(changed)


@pytest.mark.parametrize("beside", ["a.tfw", "a.TFW", "a.wld"])
@pytest.mark.parametrize("job_type", ["process_raster", "tile_raster"])
def test_a_world_file_is_named(world: World, job_type: str, beside: str) -> None:
    name = world.put_raster("a.tif", transform=None)
    world.put(beside, b"10\n0\n0\n-10\n500005\n5199995\n")
    assert beside in refused(world, job_type, name, "not_georeferenced").message


def test_ground_control_points_are_resampled_aloud(world: World) -> None:
    points = [
        GroundControlPoint(row, col, 500_000 + col * 10, 5_200_000 - row * 10)
        for row, col in ((0, 0), (0, 256), (256, 0), (256, 256))
    ]
    result = world.run("process_raster", world.put_raster("a.tif", pixels=PIXELS, gcps=points), target_crs="native")
    assert codes(result) == ["resampled"]


RPCS = RPC(
    err_bias=1.0, err_rand=1.0, height_off=100.0, height_scale=500.0, lat_off=45.0, lat_scale=0.1, line_off=128.0,
    line_scale=128.0, long_off=10.0, long_scale=0.1, samp_off=128.0, samp_scale=128.0,
    line_den_coeff=[1.0] + [0.0] * 19, line_num_coeff=[0.0, 0.0, -1.0] + [0.0] * 17,
    samp_den_coeff=[1.0] + [0.0] * 19, samp_num_coeff=[0.0, 1.0] + [0.0] * 18,
)  # fmt: skip


def test_rational_polynomials_survive_a_conversion_and_are_left_out_of_a_warp_aloud(world: World) -> None:
    write_raster(world.folder / "a.tif", PIXELS)
    with rasterio.open(world.folder / "a.tif", "r+") as dataset:
        dataset.rpcs = RPCS
    name = world.put("a.tif", (world.folder / "a.tif").read_bytes())
    converted = world.run("cog_conversion", name)
    with rasterio.open(world.output(converted)) as dataset:
        assert dataset.rpcs is not None
        assert dataset.rpcs.samp_num_coeff == RPCS.samp_num_coeff
        assert dataset.rpcs.lat_off == 45.0
    assert converted["warnings"] == []
    assert codes(world.run("process_raster", name)) == ["rpcs_left_out"]


def test_degrees_that_do_not_exist_are_not_called_a_missing_transformation(world: World) -> None:
    place = rasterio.Affine(0.1, 0.01, 10, 0.01, -0.1, 400)
    name = world.put_raster("a.tif", pixels=PIXELS, crs="EPSG:4326", transform=place)
    assert "EPSG:4326" in refused(world, "process_raster", name, "not_on_earth").message
