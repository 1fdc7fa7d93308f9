"""Coordinates that are on Earth: whatever a file holds, what reaches a geographic table can be transformed further."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import LineString, MultiPoint, Point, Polygon, box

from services.crs import WGS84
from services.vector.geometry import reasons, wkb
from services.vector.geometry.clean import CleanGeometry, clean
from services.vector.geometry.crs import choose_operation, project_with, wrap_of
from services.vector.geometry.earth import Place, guess_crs, limits_of
from services.vector.geometry.repair import LINES, POINTS, POLYGONS

NUMBERS = st.one_of(
    st.floats(-200, 200), st.floats(-1e8, 1e8), st.sampled_from([90, -90, 180, -180, 360, -360, 540, 90.0000001, 541])
)
PAIRS = st.tuples(NUMBERS, NUMBERS)
OUT = reasons.CODE_OF[reasons.OUT_OF_RANGE]


def cleaned(shapes: list[Any], dimension: int, source: int = 4326, target: int = 4326) -> CleanGeometry:
    one, other = pyproj.CRS(source), pyproj.CRS(target)
    operation, wrap = choose_operation(one, other, None), wrap_of(one, other)
    project = project_with(operation)
    return clean(
        pa.array(shapely.to_wkb(np.array(shapes, np.object_)), pa.binary()),
        project,
        dimension=dimension,
        max_repair_vertices=1_000,
        wrap=wrap,
        source_limits=limits_of(one, wraps=wrap != "no" or project is not None),
        target_limits=limits_of(other, wraps=wrap != "no") if project else None,
    )


def check_transformable(found: CleanGeometry) -> None:
    points = shapely.get_coordinates(shapely.from_wkb(found.values.drop_null().to_numpy(zero_copy_only=False)))
    assert (np.abs(points) <= (180, 90 + 1e-10)).all()
    project = pyproj.Transformer.from_crs(WGS84, "EPSG:6933", always_xy=True)
    # Like ST_Transform, it raises for a coordinate that is not on Earth.
    project.transform(points[:, 0], points[:, 1], errcheck=True)


@given(st.lists(PAIRS, min_size=1, max_size=20))
def test_points_are_on_earth_or_rejected(pairs: list[tuple[float, float]]) -> None:
    found = cleaned([Point(pair) for pair in pairs], POINTS)
    check_transformable(found)
    for (x, y), code in zip(pairs, found.reasons.tolist(), strict=True):
        assert (code == OUT) == (abs(x) > 360 or abs(y) > 90 + 5e-11)


@given(st.lists(st.lists(PAIRS, min_size=2, max_size=5), min_size=1, max_size=5))
def test_lines_with_any_point_off_the_earth_are_rejected(lines: list[list[tuple[float, float]]]) -> None:
    found = cleaned([LineString(line) for line in lines], LINES)
    check_transformable(found)
    for line, code in zip(lines, found.reasons.tolist(), strict=True):
        beyond = any(abs(x) > 540 or abs(y) > 90 + 5e-11 for x, y in line) or all(abs(x) > 360 for x, _ in line)
        assert (code == OUT) == beyond


@given(st.lists(PAIRS, min_size=1, max_size=20), st.sampled_from([25832, 3857, 4267, 31468, 2193, 3034, 27700]))
def test_whatever_is_said_to_be_in_a_crs_can_be_transformed_further_or_is_rejected(
    pairs: list[tuple[float, float]], source: int
) -> None:
    check_transformable(cleaned([Point(pair) for pair in pairs], POINTS, source=source))


def test_longitudes_of_metres_are_not_taken_for_whole_turns_by_a_projection() -> None:
    found = cleaned([Point(344_271, 45), Point(9, 45), Point(369, 45)], POINTS, target=25832)
    assert [reasons.ALL[code] for code in found.reasons] == [reasons.OUT_OF_RANGE, "", reasons.OUT_OF_RANGE]


def test_shapes_that_only_shapely_can_read_follow_the_same_rule() -> None:
    far, near = box(1_000, 0, 1_001, 1), box(350, 0, 370, 1)
    shapes = [shapely.GeometryCollection([far]), shapely.GeometryCollection([near]), far, near]
    found = cleaned(shapes, POLYGONS)
    assert found.reasons.tolist() == [OUT, 0, OUT, 0]


def test_one_point_of_a_multipoint_is_enough() -> None:
    found = cleaned([MultiPoint([(0, 0), (0, 91)]), MultiPoint([(0, 0), (0, 90)])], POINTS)
    assert found.reasons.tolist() == [OUT, 0]


def test_a_crs_in_grads_has_400_of_them() -> None:
    limits = limits_of(pyproj.CRS("EPSG:4807"), wraps=False)
    assert limits is not None
    assert limits.half_turn == 200
    assert limits_of(pyproj.CRS(3857), wraps=False) is None


@pytest.mark.parametrize(
    ("points", "place", "words"),
    [
        ([(344_271, 5_333_943)], None, "UTM"),
        ([(1_234_567, 6_543_210), (-8_000_000, -5_000_000)], None, "EPSG:3857"),
        ([(3_567_890, 5_934_567)], None, "EPSG:31467"),
        ([(32_567_890, 5_934_567)], None, "EPSG:4647"),
        ([(48.1, 111.5), (-33.9, 151.2)], None, "exchange"),
        ([(1e9, 1e9)], None, ""),
        ([(691_600, 5_334_760)], ((691_600.0, 5_334_760.0), (11.576, 48.137)), "EPSG:32632"),
        ([(334_369, 6_250_948)], ((334_369.0, 6_250_948.0), (151.207, -33.868)), "EPSG:32756"),
        ([(1_288_633, 6_130_000)], ((1_288_633.0, 6_130_000.0), (11.576, 48.1355)), "EPSG:3857"),
        ([(691_600, 5_334_760)], ((691_600.0, 5_334_760.0), (-70.0, 20.0)), "UTM"),
    ],
)
def test_the_crs_is_guessed_from_the_numbers(
    points: list[tuple[float, float]], place: Place | None, words: str
) -> None:
    guess = guess_crs(np.array(points, np.float64), place)
    assert words in guess
    assert bool(guess) == bool(words)


def test_the_first_point_of_each_type_is_found_where_it_stands() -> None:
    square = [(3, 4), (5, 4), (5, 6), (3, 4)]
    shapes = [
        Point(3, 4), LineString(square), Polygon(square), MultiPoint(square), shapely.MultiLineString([square]),
        shapely.MultiPolygon([Polygon(square)]), Point(3, 4, 9), LineString([(3, 4, 1), (5, 6, 2)]), Point(),
        shapely.GeometryCollection([Point(3, 4)]), None, shapely.MultiPolygon(), Polygon(),
    ]  # fmt: skip
    for order in (0, 1):
        values = pa.array(shapely.to_wkb(np.array(shapes, np.object_), byte_order=order), pa.binary())
        rows, points = wkb.first_points(values, wkb.read_headers(values))
        assert rows.tolist() == (list(range(8)) if order else [])
        assert points.tolist() == [[3, 4]] * len(rows)
