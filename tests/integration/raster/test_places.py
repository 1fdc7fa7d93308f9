"""Where a raster lies: no CRS and strange ones, rotation, control points, and the edges of the world."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine, from_origin

from schema.errors import PermanentError
from tests.fixtures import gdal
from tests.fixtures.rasters import ramp
from tests.fixtures.stored import get_item
from tests.integration.raster.refusals import refused
from tests.integration.raster.world import World

LOCAL = 'ENGCRS["site",EDATUM["here"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["metre",1]]'


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


def test_longitudes_from_0_to_360_keep_their_pixels_and_cover_the_world(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 360), crs="EPSG:4326", transform=from_origin(0, 90, 0.5, 0.5))
    result = world.run("process_raster", name, collection_id="turned")
    assert (gdal.pixels(world.output(result)) == ramp(720, 360)).all()
    assert item_of(world, "turned")["bbox"] == [-180, -90, 180, 90]


@pytest.mark.parametrize("target", ["EPSG:3857", "EPSG:4258"])
def test_longitudes_from_0_to_360_are_reprojected_as_a_whole(world: World, target: str) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 320), crs="EPSG:4326", transform=from_origin(0, 80, 0.5, 0.5))
    result = world.run("process_raster", name, target_crs=target, resampling="nearest")
    pixels, valid = gdal.pixels(world.output(result))[0], gdal.mask(world.output(result))
    assert valid.mean() > 0.99
    # The source's first column is Greenwich, which is the middle of the output or its first column.
    middle = pixels.shape[1] // 2 if pixels[valid].size else 0
    assert len(np.unique(pixels[:, : middle // 2])) > 200
    assert len(np.unique(pixels[:, middle + middle // 2 :])) > 200


def test_longitudes_that_go_around_the_earth_twice_are_refused(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 160), crs="EPSG:4326", transform=from_origin(0, 80, 1, 1))
    with pytest.raises(PermanentError) as raised:
        world.run("process_raster", name, target_crs="EPSG:3857")
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
    assert "does not lie on Earth" in refused(world, "process_raster", name, "not_on_earth").message
