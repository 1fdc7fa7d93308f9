"""Extents: where a layer lies, also across the antimeridian, and what is nowhere."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, Point, Polygon, box

from schema.errors import PermanentError
from services.stac.items.footprint import extent_footprint, joined
from services.vector.geometry import wkb
from services.vector.readers.extent import Extent, extent_of, shorter_bounds
from services.vector.readers.source_layer import SourceBatch

DEGREES = pyproj.CRS("EPSG:4326")
Bounds = tuple[float, float, float, float]


def batch(*shapes: Any) -> SourceBatch:
    geometry = pa.array([None if shape is None else shapely.to_wkb(shape) for shape in shapes], pa.binary())
    return SourceBatch(
        np.arange(len(shapes)), pa.record_batch([], names=[]), geometry, wkb.read_headers(geometry).type_codes
    )


def extent(*shapes: Any) -> Extent:
    return extent_of([batch(*shapes)], lambda: None)


def place(shapes: Iterable[Any], crs: pyproj.CRS = DEGREES) -> Bounds:
    found = extent(*shapes)
    assert found.bounds
    return shorter_bounds(found.bounds, found.bounds_0_360, crs, "a.gpkg")


def test_rows_are_counted_by_type_and_null_has_no_place() -> None:
    found = extent(Point(1, 2), Point(3, 4), None, Polygon(), LineString([(0, 0), (1, 1)]))
    assert (found.rows, dict(found.geometry_types)) == (5, {"Point": 2, "": 1, "Polygon": 1, "LineString": 1})
    assert found.bounds == (0, 0, 3, 4)


def test_a_layer_without_coordinates_has_no_bounds() -> None:
    assert extent(None, Polygon()).bounds is None
    assert extent_of([], lambda: None) == Extent()


def test_points_that_are_not_numbers_are_passed_over() -> None:
    assert extent(Point(1, 2), Point(float("nan"), 4), Point(float("inf"), 4)).bounds == (1, 2, 1, 2)


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        ([box(5, 50, 6, 51)], (5, 50, 6, 51)),
        ([box(-5, 50, 6, 51)], (-5, 50, 6, 51)),
        ([box(178, -18, 180, -17), box(-180, -18, -178, -17)], (178, -18, 182, -17)),
        ([box(-170, 0, -160, 1), box(100, 0, 120, 1)], (100, 0, 200, 1)),
        ([box(-180, -90, 180, 90)], (-180, -90, 180, 90)),
        ([box(-10, 0, 10, 1), box(170, 0, 180, 1)], (-10, 0, 180, 1)),
        ([box(350, 0, 359, 1)], (350, 0, 359, 1)),
    ],
)
def test_the_shorter_way_round_the_earth_is_taken(shapes: list[Any], expected: Bounds) -> None:
    assert place(shapes) == expected


def test_metres_are_not_turned() -> None:
    shapes = [Point(-1000, 0), Point(1000, 0)]
    assert place(shapes, pyproj.CRS("EPSG:3857")) == (-1000, 0, 1000, 0)


@pytest.mark.parametrize("shape", [Point(0, 91), Point(500_000, 5_000_000), Point(-600, 0)])
def test_degrees_that_are_nowhere_are_refused(shape: Any) -> None:
    with pytest.raises(PermanentError, match="says it is in degrees") as raised:
        place([shape])
    assert raised.value.error_code == "coordinates_not_on_earth"


@given(st.lists(st.tuples(st.floats(-180, 180), st.floats(-90, 90)), min_size=1, max_size=9), st.integers(1, 8))
def test_batches_of_any_size_give_the_same_extent(points: list[tuple[float, float]], size: int) -> None:
    shapes = [Point(point) for point in points]
    parts = [batch(*shapes[at : at + size]) for at in range(0, len(shapes), size)]
    whole, pieces = extent(*shapes), extent_of(parts, lambda: None)
    assert pieces == whole
    west, south, east, north = place(shapes)
    assert all(south <= y <= north and (west <= x <= east or west <= x + 360 <= east) for x, y in points)


@pytest.mark.parametrize(
    ("crs", "bounds", "expected"),
    [
        ("EPSG:4326", (178, -18, 182, -17), (178, -18, -178, -17)),
        ("EPSG:4326", (350, 0, 359, 1), (-10, 0, -1, 1)),
        ("EPSG:4326", (7, 51, 7, 51), (7, 51, 7, 51)),
        ("EPSG:3857", (0, 0, 111_319.49, 0), (0, 0, 1, 0)),
        ("EPSG:25832", (500_000, 5_600_000, 500_000, 5_600_000), (9, 50.55, 9, 50.55)),
        ("EPSG:3995", (-1e6, -1e6, 1e6, 1e6), (-180, 77, 180, 90)),
    ],
)
def test_a_footprint_is_an_area_around_the_extent(crs: str, bounds: Bounds, expected: Bounds) -> None:
    found = extent_footprint("a.gpkg", pyproj.CRS(crs), bounds)
    assert found.bbox == pytest.approx(expected, abs=0.1)
    shape = shapely.geometry.shape(found.geometry)
    assert shape.is_valid
    assert shape.area > 0


def test_an_extent_outside_of_what_its_crs_can_say_is_refused() -> None:
    with pytest.raises(PermanentError) as raised:
        extent_footprint("a.gpkg", pyproj.CRS("EPSG:25832"), (1e12, 1e12, 2e12, 2e12))
    assert raised.value.error_code == "not_on_earth"


def test_footprints_of_layers_are_joined() -> None:
    fiji = extent_footprint("a", DEGREES, (178, -18, 182, -17))
    samoa = extent_footprint("a", DEGREES, (-173, -14, -172, -13))
    both = joined([fiji, samoa])
    assert list(both.bbox) == [178, -18, -172, -13]
    assert shapely.geometry.shape(both.geometry).area == pytest.approx(5)


def test_the_parts_of_one_geometry_may_lie_on_both_sides_of_the_antimeridian() -> None:
    islands = shapely.MultiPolygon([box(-180, 50, -130, 70), box(170, 50, 180, 55)])
    assert place([islands]) == (170.0, 50.0, 230.0, 70.0)
