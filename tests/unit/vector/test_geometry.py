"""The geometry cleaner: one path in numpy and one in shapely, and both say the same."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import (
    GeometryCollection,
    LineString,
    MultiLineString,
    MultiPoint,
    MultiPolygon,
    Point,
    Polygon,
    box,
)

from services.vector.geometry import clean as geometry
from services.vector.geometry import reasons, sequences, wkb
from services.vector.geometry.clean import CleanGeometry
from services.vector.geometry.repair import LINES, POINTS, POLYGONS
from services.vector.geometry.wkb import Coordinates

BOWTIE = Polygon([(0, 0), (2, 2), (2, 0), (0, 2), (0, 0)])
HOLED = Polygon([(0, 0), (9, 0), (9, 9), (0, 9)], [[(1, 1), (2, 1), (2, 2)], [(4, 4), (5, 4), (5, 5)]])
SPIKE = Polygon([(0, 0), (4, 0), (4, 4), (8, 8), (4, 4), (0, 4), (0, 0)])

OVERSIZED = Polygon([*((x / 1000, 0) for x in range(1100)), (0, 2), (2, 2)])
"""Invalid, with more vertices than these tests let be repaired."""


def clean(shapes: list[Any], dimension: int, **options: Any) -> CleanGeometry:
    values = pa.array([None if shape is None else as_wkb(shape) for shape in shapes], pa.binary())
    return geometry.clean(
        values, options.pop("project", None), dimension=dimension, max_repair_vertices=1000, **options
    )


def as_wkb(shape: Any, **options: Any) -> bytes:
    return bytes(shapely.to_wkb(shape, **{"output_dimension": 4, "flavor": "iso", **options}))


def shapes_of(cleaned: CleanGeometry) -> list[Any]:
    return list(shapely.from_wkb(cleaned.values.to_pylist()))


def shift(coordinates: Coordinates) -> Coordinates:
    return coordinates + 100


@pytest.mark.parametrize(
    ("shape", "dimension"),
    [
        (Point(1, 2), POINTS),
        (MultiPoint([(1, 2), (3, 4)]), POINTS),
        (LineString([(0, 0), (1, 1), (2, 0)]), LINES),
        (MultiLineString([[(0, 0), (1, 1)], [(2, 2), (3, 3), (4, 4)]]), LINES),
        (box(0, 0, 1, 1), POLYGONS),
        (HOLED, POLYGONS),
        (MultiPolygon([HOLED, box(20, 20, 21, 21)]), POLYGONS),
    ],
)
@pytest.mark.parametrize("width", [2, 3, 4])
def test_every_type_loses_z_and_m_and_keeps_its_shape(shape: Any, dimension: int, width: int) -> None:
    raised = shapely.force_3d(shape, 7.0) if width > 2 else shape
    if width == 4:
        points = shapely.get_coordinates(raised, include_z=True)
        raised = shapely.set_coordinates(shapely.force_3d(raised), points)
    # A second row of another width makes the batch a mixed one.
    cleaned = clean([raised, shape, None], dimension, project=shift)
    expected = shapely.transform(shape, shift)
    assert [shapely.equals_exact(found, expected) for found in shapes_of(cleaned)[:2]] == [True, True]
    assert not shapely.has_z(shapes_of(cleaned)[0])
    assert reasons.names_of(cleaned.reasons) == ["", "", reasons.NULL]
    assert cleaned.counts["z_m_removed"] == (width > 2)


@pytest.mark.parametrize("flavor", ["iso", "extended"])
@pytest.mark.parametrize("byte_order", [0, 1])
def test_every_way_to_write_wkb_is_read(flavor: str, byte_order: int) -> None:
    shape = shapely.set_srid(shapely.force_3d(HOLED), 25832)
    value = as_wkb(shape, flavor=flavor, byte_order=byte_order, include_srid=flavor == "extended")
    cleaned = geometry.clean(pa.array([value], pa.binary()), None, dimension=POLYGONS, max_repair_vertices=99)
    assert shapely.equals_exact(shapes_of(cleaned)[0], HOLED)


@pytest.mark.parametrize(
    ("shape", "dimension", "reason"),
    [
        (None, POINTS, reasons.NULL),
        (Point(), POINTS, reasons.EMPTY),
        (Polygon(), POLYGONS, reasons.EMPTY),
        (GeometryCollection(), POLYGONS, reasons.EMPTY),
        (MultiPolygon(), POLYGONS, reasons.EMPTY),
        (Point(1, 1), POLYGONS, reasons.OTHER_TYPE),
        (GeometryCollection([Point(1, 1), box(0, 0, 1, 1)]), POLYGONS, reasons.OTHER_TYPE),
        (Point(float("nan"), 1), POINTS, reasons.NOT_FINITE),
        (LineString([(0, 0), (float("inf"), 1)]), LINES, reasons.NOT_FINITE),
        (LineString([(1, 1), (1, 1)]), LINES, reasons.COLLAPSED),
        (Polygon([(0, 0), (1, 1), (2, 2), (0, 0)]), POLYGONS, reasons.COLLAPSED),
        (OVERSIZED, POLYGONS, reasons.TOO_LARGE),
    ],
)
def test_a_row_without_a_usable_geometry_says_why(shape: Any, dimension: int, reason: str) -> None:
    good = {POINTS: Point(1, 2), LINES: LineString([(0, 0), (1, 1)]), POLYGONS: box(0, 0, 1, 1)}[dimension]
    cleaned = clean([good, shape, good], dimension)
    assert reasons.names_of(cleaned.reasons) == ["", reason, ""]
    assert cleaned.type_codes.tolist()[1] == 0
    assert [found.equals(good) for found in shapes_of(cleaned)[::2]] == [True, True]


def test_bytes_that_are_no_geometry_are_a_reason_and_harm_no_other_row() -> None:
    good = as_wkb(HOLED)
    broken = [b"\x01\x03\x00\x00\x00\xff\xff\xff\xff", b"\x01", good[:-1], good + b"x", b"\x09" * 20]
    cleaned = geometry.clean(
        pa.array([good, *broken, good], pa.binary()), shift, dimension=POLYGONS, max_repair_vertices=99
    )
    whole = [found for found in shapes_of(cleaned) if found is not None]
    assert len(whole) >= 2
    assert all(found.equals(shapely.transform(HOLED, shift)) for found in whole)
    assert set(reasons.names_of(cleaned.reasons)) <= {"", reasons.UNREADABLE}


def test_a_projection_without_an_answer_is_a_reason() -> None:
    def project(coordinates: Coordinates) -> Coordinates:
        return np.where(coordinates > 5, np.inf, coordinates)

    collection = GeometryCollection([box(7, 7, 8, 8)])
    cleaned = clean([box(0, 0, 1, 1), box(4, 4, 6, 6), collection], POLYGONS, project=project)
    assert reasons.names_of(cleaned.reasons) == ["", reasons.NOT_PROJECTABLE, reasons.NOT_PROJECTABLE]


def test_repair_keeps_the_dimension_and_counts_what_it_dropped() -> None:
    cleaned = clean([BOWTIE, SPIKE, HOLED], POLYGONS)
    bowtie, spike, holed = shapes_of(cleaned)
    assert (bowtie.geom_type, bowtie.area) == ("MultiPolygon", 2.0)
    assert (spike.geom_type, spike.area) == ("Polygon", 16.0)
    assert shapely.equals_exact(holed, HOLED)
    assert cleaned.counts == Counter(z_m_removed=0, repaired=2, slivers_dropped=1)


def test_an_open_ring_is_closed() -> None:
    value = bytearray(as_wkb(Polygon([(0, 0), (4, 0), (4, 4), (0, 4)])))
    value[-16:] = np.array([0.0, 3.0]).tobytes()
    cleaned = geometry.clean(pa.array([bytes(value)], pa.binary()), None, dimension=POLYGONS, max_repair_vertices=99)
    assert shapes_of(cleaned)[0].is_valid


def test_a_collection_of_one_dimension_becomes_a_multi_geometry() -> None:
    cleaned = clean([GeometryCollection([box(0, 0, 1, 1), MultiPolygon([box(2, 2, 3, 3)])])], POLYGONS)
    assert shapes_of(cleaned)[0].equals(MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)]))


def test_a_geometry_of_very_many_rings_is_left_to_shapely() -> None:
    holes = [[(x, 1), (x + 0.5, 1), (x + 0.5, 2)] for x in range(1, 600)]
    ring = Polygon([(0, 0), (700, 0), (700, 9), (0, 9)], holes)
    values = pa.array([as_wkb(shapely.force_3d(ring)), as_wkb(HOLED)], pa.binary())
    assert sequences.locate(values).fallback.tolist() == [True, False]
    cleaned = geometry.clean(values, shift, dimension=POLYGONS, max_repair_vertices=99)
    assert shapely.equals_exact(shapes_of(cleaned)[0], shapely.transform(ring, shift))


@pytest.mark.parametrize("multi", [True, False])
def test_ewkb_has_srid_and_type(multi: bool) -> None:
    shapes = [MultiPolygon([HOLED]), HOLED, None] if multi else [HOLED, None]
    cleaned = clean(shapes, POLYGONS)
    values = shapely.from_wkb(wkb.to_ewkb(cleaned.values, cleaned.type_codes, 3857, multi=multi).to_pylist())
    assert values[-1] is None
    assert {shapely.get_srid(value) for value in values[:-1]} == {3857}
    assert {value.geom_type for value in values[:-1]} == {"MultiPolygon" if multi else "Polygon"}


def test_bounds_are_those_of_the_rows_that_are_kept() -> None:
    cleaned = clean([box(1, 2, 3, 4), Point(99, 99), BOWTIE], POLYGONS)
    assert cleaned.bounds == (0, 0, 3, 4)


def test_a_batch_without_geometries_has_no_bounds() -> None:
    assert clean([None], POLYGONS).bounds is None


numbers = st.floats(-180, 180, allow_nan=False, width=32)
points = st.tuples(numbers, numbers)
rings = st.lists(points, min_size=3, max_size=12)
polygons = st.builds(Polygon, rings, st.lists(rings, max_size=2))
anything = st.one_of(
    st.none(),
    st.builds(Point, points),
    st.builds(LineString, st.lists(points, min_size=2, max_size=5)),
    polygons,
    st.builds(MultiPolygon, st.lists(polygons, max_size=3)),
    st.builds(GeometryCollection, st.lists(st.one_of(polygons, st.builds(Point, points)), max_size=3)),
)


@given(st.lists(anything, max_size=6), st.booleans(), st.booleans())
def test_every_row_is_either_a_valid_polygon_or_has_a_reason(shapes: list[Any], raise_all: bool, move: bool) -> None:
    raised = [shape and shapely.force_3d(shape) for shape in shapes] if raise_all else shapes
    cleaned = clean(raised, POLYGONS, project=shift if move else None)
    for shape, found, reason in zip(shapes, shapes_of(cleaned), cleaned.reasons, strict=True):
        assert (found is None) == (reason > 0)
        if found is None:
            continue
        assert found.is_valid
        assert found.geom_type in ("Polygon", "MultiPolygon")
        moved = shapely.transform(shape, shift) if move else shape
        if moved.is_valid and shape.geom_type != "GeometryCollection":
            assert shapely.equals_exact(found, moved)
