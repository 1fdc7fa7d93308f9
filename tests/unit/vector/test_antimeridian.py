"""Longitudes beyond 180 degrees, and geometries over the antimeridian."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPoint, MultiPolygon, Point, Polygon, box

from services.vector.geometry.antimeridian import find_crossing, straighten

FIJI = Polygon([(177, -20), (-178, -20), (-178, -15), (177, -15), (177, -20)])
FIJI_CUT = MultiPolygon([box(177, -20, 180, -15), box(-180, -20, -178, -15)])


@pytest.mark.parametrize(
    ("shape", "expected", "action"),
    [
        (box(0, 0, 1, 1), box(0, 0, 1, 1), None),
        (box(-180, -90, 180, 90), box(-180, -90, 180, 90), None),
        (box(-179.9, -80, 179.9, 85), box(-179.9, -80, 179.9, 85), None),
        (box(170, 0, 180, 1), box(170, 0, 180, 1), None),
        (Point(190, 5), Point(-170, 5), "wrapped"),
        (Point(-190, 5), Point(170, 5), "wrapped"),
        (MultiPoint([(10, 1), (350, 2)]), MultiPoint([(10, 1), (-10, 2)]), "wrapped"),
        (box(190, 0, 200, 1), box(-170, 0, -160, 1), "wrapped"),
        (box(180, 0, 200, 1), box(-180, 0, -160, 1), "wrapped"),
        (box(170, 0, 190, 1), MultiPolygon([box(170, 0, 180, 1), box(-180, 0, -170, 1)]), "cut"),
        (box(-190, 0, -170, 1), MultiPolygon([box(170, 0, 180, 1), box(-180, 0, -170, 1)]), "cut"),
        (FIJI, FIJI_CUT, "cut"),
        (FIJI.reverse(), FIJI_CUT, "cut"),
        (MultiPolygon([FIJI, box(0, 0, 1, 1)]), MultiPolygon([*FIJI_CUT.geoms, box(0, 0, 1, 1)]), "cut"),
        (LineString([(170, 0), (190, 0)]), shapely.from_wkt("MULTILINESTRING((170 0,180 0),(-180 0,-170 0))"), "cut"),
        (Point(1000, 0), Point(1000, 0), None),
    ],
)
def test_a_geometry_is_brought_between_180_and_180(shape: Any, expected: Any, action: str | None) -> None:
    found, done = straighten(shape)
    assert done == action
    assert found.normalize().equals(expected.normalize())


def test_a_hole_goes_with_its_shell() -> None:
    holed = Polygon(FIJI.exterior.coords, [[(-179, -18), (-178.5, -18), (-178.5, -17), (-179, -18)]])
    found, done = straighten(holed)
    assert done == "cut"
    assert found.is_valid
    assert found.area == pytest.approx(25 - 0.25)


def test_a_ring_around_a_pole_is_left_as_it_is() -> None:
    antarctica = Polygon([(-180, -70), (-90, -72), (0, -70), (90, -72), (175, -70), (-180, -70)])
    assert straighten(antarctica) == (antarctica, None)


def test_only_suspicious_runs_are_looked_at() -> None:
    x = np.array([0.0, 1, 2, -179, -178, 179, -179, 10, 190, 180])
    starts = np.array([0, 3, 5, 7, 9])
    assert find_crossing(x, starts).tolist() == [False, False, True, True, False]
    assert find_crossing(np.empty(0), np.empty(0, np.int64)).tolist() == []


@given(st.floats(-179, 179), st.floats(0.1, 100), st.floats(-60, 50), st.floats(0.1, 9))
def test_a_box_keeps_its_area_however_it_is_written(west: float, width: float, south: float, height: float) -> None:
    whole = box(west, south, west + width, south + height)
    beyond, _ = straighten(whole)
    jumping = shapely.transform(whole, lambda points: np.where(points > 180, points - 360, points) * 1.0)
    again, _ = straighten(jumping)
    assert beyond.area == pytest.approx(whole.area)
    assert again.area == pytest.approx(whole.area)
    assert beyond.is_valid
    assert -180 <= beyond.bounds[0] <= beyond.bounds[2] <= 180
