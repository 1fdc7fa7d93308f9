"""Coordinate operations: each place on Earth gets one that is made for it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyproj.transformer import TransformerGroup

from services.vector.geometry.crs import Operation, choose_operation, is_within, project_with

# Grids come with no wheel; pyproj says so of every operation that is not the best for want of one.
pytestmark = pytest.mark.filterwarnings("ignore:Best transformation is not available")
WGS84 = pyproj.CRS("EPSG:4326")
NAD27 = pyproj.CRS("EPSG:4267")
ANCHORAGE, JUNEAU, KANSAS, MIAMI = (-149.9, 61.2), (-134.4, 58.3), (-98.5, 39.0), (-80.2, 25.8)
STATES = (-150.0, 25.0, -70.0, 62.0)


def metres_apart(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(pyproj.Geod(ellps="WGS84").inv(*one, *other)[2])


def moved(operation: Operation, *places: tuple[float, float]) -> list[tuple[float, float]]:
    project = project_with(Operation.from_json(operation.as_json()))
    assert project is not None
    return [(x, y) for x, y in project(np.array(places)).tolist()]


@pytest.mark.parametrize("bounds", [None, STATES])
def test_one_layer_has_the_right_operation_in_alaska_and_in_kansas(
    bounds: tuple[float, float, float, float] | None,
) -> None:
    found = moved(choose_operation(NAD27, WGS84, bounds), ANCHORAGE, KANSAS)
    group = TransformerGroup(NAD27, WGS84, always_xy=True)
    alaska = next(one for one in group.transformers if "NAD27 to WGS 84 (7) " in one.description)
    assert metres_apart(found[0], alaska.transform(*ANCHORAGE)) < 0.001
    # Of the published shifts of one region each is as right as its accuracy, which is 7 to 10 m here.
    assert metres_apart(found[1], pyproj.Transformer.from_crs(NAD27, WGS84, always_xy=True).transform(*KANSAS)) < 10


@pytest.mark.parametrize("code", [4267, 4230, 23032, 31467, 27700, 4618])
@given(share=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_every_place_gets_an_operation_as_good_as_the_one_that_proj_chooses_for_it(
    code: int, share: tuple[float, float]
) -> None:
    source = pyproj.CRS(code)
    operation, area = _known(code)
    place = (area.west + share[0] * ((area.east - area.west) % 360), area.south + share[1] * (area.north - area.south))
    if not any(is_within(np.array([place]), bounds).all() for bounds in operation.areas):
        return
    if source.is_projected:
        place = pyproj.Transformer.from_crs(source.geodetic_crs, source, always_xy=True).transform(*place)
    expected = pyproj.Transformer.from_crs(source, WGS84, always_xy=True).transform(*place)
    assert metres_apart(moved(operation, place)[0], expected) < 6


@cache
def _known(code: int) -> tuple[Operation, Any]:
    source = pyproj.CRS(code)
    assert source.area_of_use is not None
    return choose_operation(source, WGS84, None), source.area_of_use


def test_the_operation_of_the_layer_is_kept_wherever_it_may_be_used() -> None:
    operation = choose_operation(NAD27, WGS84, STATES)
    assert operation.is_preferred
    assert operation.pipeline
    first = pyproj.Transformer.from_pipeline(operation.pipeline)
    assert moved(operation, KANSAS, MIAMI) == [pytest.approx(first.transform(*place)) for place in (KANSAS, MIAMI)]


def test_two_projected_crss_are_compared_by_the_degrees_of_the_layer() -> None:
    utm, mercator = pyproj.CRS("EPSG:23032"), pyproj.CRS("EPSG:3857")
    for degrees in ((10.0, 45.0), (8.0, 62.0), (9.0, 55.0)):
        place = pyproj.Transformer.from_crs(utm.geodetic_crs, utm, always_xy=True).transform(*degrees)
        [found] = moved(choose_operation(utm, mercator, None), place)
        [expected] = moved(choose_operation(utm, WGS84, None), place)
        assert pyproj.Transformer.from_crs(mercator, WGS84, always_xy=True).transform(*found) == pytest.approx(expected)


def test_the_report_names_the_operations_that_may_be_used_elsewhere() -> None:
    assert choose_operation(NAD27, WGS84, STATES).report()["elsewhere"]
    assert "elsewhere" not in choose_operation(pyproj.CRS("EPSG:25832"), WGS84, None).report()


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(0.01, 359), st.integers(-1, 0), st.floats(0, 1))
def test_bounds_hold_what_lies_between_their_edges_whatever_the_turn(
    west: float, south: float, width: float, turns: int, share: float
) -> None:
    east = (west + width + 180) % 360 - 180
    inside = np.array([[west + share * width + 360 * turns, south]])
    beyond = np.array([[west + width + (360 - width) / 2 + 360 * turns, south]])
    assert is_within(inside, (west, south, east, south)).all()
    assert not is_within(beyond, (west, south, east, south)).any() or width > 358
    assert not is_within(inside + np.array([0, 0.1]), (west, south, east, south)).any()


def test_points_without_coordinates_are_within_no_bounds() -> None:
    assert not is_within(np.array([[np.nan, np.nan], [np.inf, 0]]), (-180.0, -90.0, 180.0, 90.0)).any()
