"""GeoJSON from outside: what is one, and what is told of what is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controllers.jobs.geojson import MAX_GEOMETRIES, MAX_POSITIONS, check_geometry

RING = [[0, 0], [1, 0], [1, 1], [0, 0]]
DEEP: Any = []
for _ in range(500):
    DEEP = [DEEP]
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["type", "coordinates", "a"]), inner),
    max_leaves=20,
)


@pytest.mark.parametrize(
    ("kind", "coordinates"),
    [
        ("Point", [1, 2]),
        ("Point", [1.5, 2, 300]),
        ("MultiPoint", [[1, 2], [3, 4]]),
        ("LineString", [[1, 2], [3, 4]]),
        ("MultiLineString", [[[1, 2], [3, 4]]]),
        ("Polygon", [RING, RING]),
        ("MultiPolygon", [[RING], [RING]]),
        ("Polygon", [[[-180, -90], [180, -90], [180, 90], [-180, -90]]]),
    ],
)
def test_a_geometry_is_taken_without_what_does_not_belong(kind: str, coordinates: Any) -> None:
    geometry = {"type": kind, "coordinates": coordinates}
    assert check_geometry({**geometry, "bbox": [0, 0, 1, 1], "crs": {"name": "x"}}) == geometry


def test_a_collection_of_geometries_is_taken() -> None:
    point = {"type": "Point", "coordinates": [1, 2]}
    assert check_geometry({"type": "GeometryCollection", "geometries": [point]})["geometries"] == [point]


def test_negative_zero_loses_its_sign() -> None:
    assert str(check_geometry({"type": "Point", "coordinates": [-0.0, -0.0]})["coordinates"]) == "[0.0, 0.0]"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "must be a GeoJSON geometry"),
        ([1, 2], "must be a GeoJSON geometry"),
        ({}, "none of Point"),
        ({"type": "point", "coordinates": [1, 2]}, "none of Point"),
        ({"type": ["Point"], "coordinates": [1, 2]}, "none of Point"),
        ({"type": "Feature", "geometry": {}}, "is a Feature; send the geometry"),
        ({"type": "Point"}, "coordinates must be a position"),
        ({"type": "Point", "coordinates": [1]}, "coordinates must be a position"),
        ({"type": "Point", "coordinates": ["1", "2"]}, "coordinates must be a position"),
        ({"type": "Point", "coordinates": [True, 2]}, "coordinates must be a position"),
        ({"type": "Point", "coordinates": [10**400, 2]}, "coordinates must be a position"),
        ({"type": "Point", "coordinates": [float("inf"), 2]}, "coordinates must be a position"),
        ({"type": "Point", "coordinates": [50, 100]}, "latitudes from -90 to 90, longitude first"),
        ({"type": "LineString", "coordinates": [[1, 2]]}, "2 or more positions"),
        ({"type": "Polygon", "coordinates": []}, "1 or more rings"),
        ({"type": "Polygon", "coordinates": [RING, RING[:3]]}, "coordinates[1] must be a list of 4 or more"),
        ({"type": "Polygon", "coordinates": [[*RING[:3], [0, 1]]]}, "coordinates[0] is a ring that is not closed"),
        ({"type": "MultiPolygon", "coordinates": [[RING], [[[0, 0]]]]}, "coordinates[1][0] must be a list"),
        ({"type": "MultiPoint", "coordinates": [[1, 2]] * (MAX_POSITIONS + 1)}, "more than 10,000 positions"),
        ({"type": "MultiPoint", "coordinates": DEEP}, "coordinates[0] must be a position"),
        ({"type": "GeometryCollection", "geometries": []}, "1 to 1,000 geometries"),
        ({"type": "GeometryCollection", "geometries": [{}] * (MAX_GEOMETRIES + 1)}, "1 to 1,000 geometries"),
        ({"type": "GeometryCollection", "geometries": [{"type": "GeometryCollection"}]}, "within another"),
        ({"type": "GeometryCollection", "geometries": [{"type": "Point"}]}, "geometries[0] coordinates must"),
    ],
)
def test_a_fault_is_told_with_its_place(value: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is looked at below
        check_geometry(value)
    assert said in str(caught.value)


@given(anything)
def test_nothing_else_than_a_fault_is_ever_raised(value: Any) -> None:
    try:
        check_geometry(value)
    except ValueError as exc:
        assert str(exc)  # noqa: PT017 - a value may also be a geometry
