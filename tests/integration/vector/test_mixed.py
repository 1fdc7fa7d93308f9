"""Layers and rows that mix points, lines and polygons: geometry_type says which are loaded, the others are left out."""

from __future__ import annotations

from typing import Any

import pytest
from shapely.geometry import GeometryCollection, LineString, MultiPoint, Point, box

from schema.errors import PermanentError
from tests.fixtures.vector import features, frame, gpkg
from tests.integration.vector.loading import Loader

LINE = LineString([(0, 0), (1, 1)])


def rows_of(*shapes: Any) -> bytes:
    return features(*((shape, {}) for shape in shapes))


@pytest.mark.parametrize(("kind", "loaded", "left_out"), [("point", 2, 18), ("line", 3, 17), ("polygon", 15, 5)])
@pytest.mark.parametrize("load_method", ["replace", "append"])
def test_kinds_that_are_left_out_do_not_count_as_rejected(
    loader: Loader, kind: str, loaded: int, left_out: int, load_method: str
) -> None:
    shapes = [*[Point(1, 1)] * 2, *[LINE] * 3, *[box(0, 0, 1, 1)] * 15]
    for name, data in {"a.json": rows_of(*shapes), "a.gpkg": gpkg(frame(shapes), loader.folder)}.items():
        loader.put(name, data)
        result = loader.load(name, geometry_type=kind, load_method=load_method, target_table=name.replace(".", "_"))
        books = result["conservation"]
        assert (books["rows_loaded"], books["reasons"]) == (loaded, {"other_geometry_type": left_out})
    assert loader.warnings("a.json", geometry_type=kind)["rows_left_out"]["count"] == left_out


def test_other_rejected_rows_still_count(loader: Loader) -> None:
    loader.put("a.json", features(*[(LINE, {})] * 6, (Point(1, 1), {}), (None, {})))
    with pytest.raises(PermanentError) as raised:
        loader.load("a.json", geometry_type="point")
    assert raised.value.error_code == "too_many_rejected"
    assert "1 of 8 rows were rejected (1 null_geometry); 0 are allowed" in raised.value.message
    assert "The first: row 8 (null_geometry)" in raised.value.message
    assert loader.load("a.json", geometry_type="point", max_rejected=1)["total_features_loaded"] == 1
    warnings = loader.warnings("a.json", geometry_type="point", max_rejected=1)
    assert (warnings["rows_left_out"]["count"], warnings["rows_rejected"]["count"]) == (6, 1)


def test_a_kind_that_no_row_has_fails_the_job_and_leaves_the_table(loader: Loader) -> None:
    loader.put("a.json", rows_of(box(0, 0, 1, 1)))
    loader.load("a.json")
    with pytest.raises(PermanentError, match=r"has no lines\. It has: 1 polygons") as raised:
        loader.load("a.json", geometry_type="line")
    assert raised.value.error_code == "geometry_type_missing"
    assert loader.value("SELECT count(*) FROM geo.a") == 1


def labelled(n: int) -> GeometryCollection:
    return GeometryCollection([Point(n + 0.5, 0.5), box(n, 0, n + 1, 1)])


def test_of_collections_the_parts_of_the_wanted_kind_are_loaded(loader: Loader) -> None:
    loader.put("a.json", rows_of(*map(labelled, range(4))))
    with pytest.raises(PermanentError, match=r"within its rows \(4 are collections .*: 4 points, 4 polygons") as raised:
        loader.load("a.json")
    assert raised.value.error_code == "mixed_geometries"
    assert "geometry_type" in raised.value.remediation
    result = loader.load("a.json", geometry_type="polygon")
    assert (result["total_features_loaded"], result["conservation"]["parts_left_out"]) == (4, 4)
    assert loader.rows("SELECT DISTINCT ST_Area(geom) FROM geo.a") == [(1,)]
    assert loader.load("a.json", geometry_type="point")["geometry_type"] == "MultiPoint"
    assert loader.rows("SELECT ST_X(ST_GeometryN(geom, 1)) FROM geo.a ORDER BY id") == [(0.5,), (1.5,), (2.5,), (3.5,)]


def test_collections_within_collections_and_beside_plain_rows_follow_the_same_rule(loader: Loader) -> None:
    nested = GeometryCollection([labelled(0), GeometryCollection([MultiPoint([(5, 5), (6, 6)]), LINE])])
    loader.put("a.json", rows_of(nested, box(9, 9, 10, 10), Point(7, 7), GeometryCollection([LINE])))
    assert loader.load("a.json", geometry_type="point")["total_features_loaded"] == 2
    assert loader.rows("SELECT ST_NumGeometries(geom) FROM geo.a ORDER BY id") == [(3,), (1,)]
    assert loader.load("a.json", geometry_type="line")["total_features_loaded"] == 2
    assert loader.load("a.json", geometry_type="polygon")["conservation"]["parts_left_out"] == 4


def test_a_single_mixed_collection_is_a_rejected_row(loader: Loader) -> None:
    loader.put("a.json", rows_of(*[box(0, 0, 1, 1)] * 9, labelled(1)))
    assert loader.load("a.json", max_rejected=1)["conservation"]["reasons"] == {"other_geometry_type": 1}
    with pytest.raises(PermanentError, match="within its rows") as raised:
        loader.load("a.json", max_rejected=0)
    assert raised.value.error_code == "mixed_geometries"
