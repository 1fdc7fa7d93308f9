"""Footprints: right across the antimeridian and at the poles."""

from __future__ import annotations

import pytest
from affine import Affine
from pyproj import CRS
from rasterio.transform import from_origin
from shapely import Point, Polygon
from shapely.geometry import shape

from services.stac.items.footprint import Footprint, footprint


def of(crs: str, place: Affine, width: int = 100, height: int = 100) -> Footprint:
    return footprint("a.tif", CRS(crs), place, width, height)


def inside(found: Footprint, lon: float, lat: float) -> bool:
    return bool(shape(found.geometry).buffer(1e-6).contains(Point(lon, lat)))


def test_a_plain_raster_is_its_four_corners() -> None:
    found = of("EPSG:4326", from_origin(9, 47, 0.01, 0.01))
    assert list(found.bbox) == [9, 46, 10, 47]
    assert found.geometry["type"] == "Polygon"
    assert len(found.geometry["coordinates"][0]) == 5
    assert Polygon(found.geometry["coordinates"][0]).exterior.is_ccw


def test_a_projected_raster_follows_its_bent_edges() -> None:
    found = of("EPSG:32632", from_origin(0, 8_000_000, 10_000, 10_000))
    assert len(found.geometry["coordinates"][0]) > 10
    assert inside(found, 9, 67.5)


@pytest.mark.parametrize(
    ("crs", "place"),
    [
        ("EPSG:32660", from_origin(600_000, 6_000_000, 2000, 2000)),
        ("EPSG:32601", from_origin(200_000, 6_000_000, 2000, 2000)),
        ("EPSG:4326", from_origin(179, 54, 0.03, 0.03)),
        ("EPSG:4326", from_origin(-181.5, 54, 0.03, 0.03)),
        ("EPSG:3832", from_origin(3_200_000, 6_500_000, 3000, 3000)),
    ],
)
def test_what_crosses_the_antimeridian_is_cut_there(crs: str, place: Affine) -> None:
    found = of(crs, place)
    west, _, east, _ = found.bbox
    assert found.geometry["type"] == "MultiPolygon"
    assert west > 170
    assert east < -170
    assert shape(found.geometry).is_valid
    assert shape(found.geometry).area < 25
    assert inside(found, 179.99, (found.bbox[1] + found.bbox[3]) / 2)
    assert inside(found, -179.99, (found.bbox[1] + found.bbox[3]) / 2)


def test_what_ends_at_the_antimeridian_is_not_cut() -> None:
    found = of("EPSG:4326", from_origin(170, 10, 0.1, 0.1))
    assert (found.bbox, found.geometry["type"]) == ((170, 0, 180, 10), "Polygon")
    found = of("EPSG:4326", from_origin(-180, 10, 0.1, 0.1))
    assert (found.bbox, found.geometry["type"]) == ((-180, 0, -170, 10), "Polygon")
    assert of("EPSG:4326", from_origin(180, 10, 0.1, 0.1)).bbox == (-180, 0, -170, 10)


@pytest.mark.parametrize("west", [0, -180, 90, 180])
def test_the_whole_world_is_the_whole_world(west: float) -> None:
    found = of("EPSG:4326", from_origin(west, 90, 3.6, 1.8))
    assert list(found.bbox) == [-180, -90, 180, 90]
    assert shape(found.geometry).area == pytest.approx(360 * 180)


@pytest.mark.parametrize(("crs", "pole"), [("EPSG:3031", -1), ("EPSG:3413", 1), ("EPSG:3995", 1), ("EPSG:3976", -1)])
def test_a_raster_over_a_pole_holds_the_pole_and_every_longitude(crs: str, pole: int) -> None:
    found = of(crs, from_origin(-1_000_000, 1_000_000, 20_000, 20_000))
    assert found.bbox[0::2] == (-180, 180)
    assert 90 * pole in found.bbox
    for lon in (-179.9, -90, 0, 45, 179.9):
        assert inside(found, lon, 89.9 * pole)
        assert inside(found, lon, 82 * pole)
        assert not inside(found, lon, 70 * pole)


def test_a_pole_off_the_middle_is_still_inside() -> None:
    found = of("EPSG:3413", from_origin(-100_000, 1_900_000, 20_000, 20_000))
    assert 90 in found.bbox
    assert inside(found, 0, 89.9)


def test_a_raster_beside_the_pole_holds_none() -> None:
    found = of("EPSG:3031", from_origin(500_000, 2_000_000, 10_000, 10_000))
    assert found.bbox[1] > -90
    assert found.bbox[2] - found.bbox[0] < 60


def test_a_turned_raster_has_a_turned_footprint() -> None:
    found = of("EPSG:4326", Affine.translation(9, 47) @ Affine.rotation(30) @ Affine.scale(0.01, -0.01))
    assert len(found.geometry["coordinates"][0]) == 5
    assert shape(found.geometry).area == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize(
    ("crs", "place"),
    [
        ("EPSG:32632", from_origin(0, 8_000_000, 10_000, 10_000)),
        ("EPSG:3035", from_origin(2_000_000, 5_000_000, 20_000, 20_000)),
        ("EPSG:4326", from_origin(190, 10, 0.1, 0.1)),
    ],
)
def test_the_box_of_what_is_not_cut_has_the_very_bounds_of_the_geometry(crs: str, place: Affine) -> None:
    found = of(crs, place)
    assert found.bbox == shape(found.geometry).bounds
