"""Files become tables: each format, in chunks, replaced and added to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import shapely
from shapely.geometry import GeometryCollection, LineString, MultiPolygon, Point, box

from schema.errors import TransientError
from services.context import TaskContext
from tests.fixtures.vector import BOWTIE, boxes, features, frame, geojson, gpkg, shapefile
from tests.integration.vector.loading import Loader

WRITERS = {"made.gpkg": gpkg, "made.geojson": geojson, "made.zip": shapefile}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_loaded_whole_and_in_order(loader: Loader, name: str) -> None:
    loader.put(name, WRITERS[name](boxes(250), loader.folder))
    result = loader.load(name, chunk_size=100)
    assert result["status"] == "success"
    assert result["table"] == "geo.made"
    assert (result["total_features_loaded"], result["upload_chunks"], result["failed_chunks"]) == (250, 3, 0)
    assert result["geometry_type"] == "Polygon"
    rows = loader.rows("SELECT id, name, ST_XMin(geom), ST_YMin(geom) FROM geo.made ORDER BY id")
    assert rows == [(n + 1, f"feature {n + 1}", n % 100, n // 100) for n in range(250)]
    assert loader.work_tables() == []


def test_coordinates_are_taken_to_longitude_and_latitude(loader: Loader) -> None:
    loader.put("a.gpkg", gpkg(frame([Point(500_000, 5_000_000)], "EPSG:32632"), loader.folder))
    result = loader.load("a.gpkg")
    assert (result["original_crs"], result["preprocessing_stats"]["final_crs"]) == ("EPSG:32632", "EPSG:4326")
    assert loader.rows("SELECT ST_X(geom)::numeric(9,6)::text, ST_Y(geom)::numeric(9,6)::text FROM geo.a") == [
        ("9.000000", "45.153477")
    ]
    assert loader.value("SELECT type || srid FROM geometry_columns WHERE f_table_name = 'a'") == "POINT4326"


def test_z_is_dropped_bad_polygons_are_repaired_and_types_are_promoted(loader: Loader) -> None:
    raised = shapely.force_3d(box(5, 5, 6, 6), 3.0)
    loader.put("a.json", features((raised, {}), (BOWTIE, {}), (MultiPolygon([box(7, 7, 8, 8)]), {})))
    result = loader.load("a.json")
    assert result["geometry_type"] == "MultiPolygon"
    stats = result["preprocessing_stats"]
    assert stats["geometry_type_changes"] == {"Polygon->MultiPolygon": 2}
    assert (stats["z_m_values_removed"], stats["repaired"]) == (1, 1)
    assert (stats["original_feature_count"], stats["final_feature_count"]) == (3, 3)
    assert loader.value("SELECT bool_and(ST_IsValid(geom) AND ST_NDims(geom) = 2) FROM geo.a")


@pytest.mark.parametrize("broken_at", [0, 149])
def test_a_repair_that_makes_a_multipolygon_makes_the_table_one_of_multipolygons(
    loader: Loader, broken_at: int
) -> None:
    # Of 150 rows every third is sampled: the first row is looked at, the last one is not.
    data = boxes(150)
    data.loc[broken_at, "geometry"] = BOWTIE
    loader.put("a.gpkg", gpkg(data, loader.folder))
    result = loader.load("a.gpkg", chunk_size=50)
    assert result["geometry_type"] == "MultiPolygon"
    assert result["preprocessing_stats"]["geometry_type_changes"] == {"Polygon->MultiPolygon": 150}
    assert loader.rows("SELECT count(*), count(DISTINCT id), max(id) FROM geo.a") == [(150, 150, 150)]


def test_a_wrong_guess_of_multipolygons_is_corrected(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.vector.load.survey._sample_splits", lambda *_: True)
    loader.put("a.gpkg", gpkg(boxes(20), loader.folder))
    assert loader.load("a.gpkg")["geometry_type"] == "Polygon"
    assert loader.value("SELECT type FROM geometry_columns WHERE f_table_name = 'a'") == "POLYGON"


def test_the_table_is_ready_to_serve(loader: Loader) -> None:
    loader.put("a.gpkg", gpkg(boxes(10), loader.folder))
    loader.load("a.gpkg")
    indexes = dict(loader.rows("SELECT indexname::text, indexdef FROM pg_indexes WHERE schemaname = 'geo'"))
    assert set(indexes) == {"a_pkey", "a_geom_idx"}
    assert "gist" in indexes["a_geom_idx"]
    assert loader.value("SELECT reltuples FROM pg_class WHERE oid = 'geo.a'::regclass") == 10
    assert loader.rows("INSERT INTO geo.a (name) VALUES ('new') RETURNING id") == [(11,)]


def test_replace_puts_the_new_rows_in_the_place_of_the_old(loader: Loader) -> None:
    for number in (30, 20):
        loader.put("a.gpkg", gpkg(boxes(number), loader.folder))
        loader.load("a.gpkg")
    assert loader.rows("SELECT count(*), max(id) FROM geo.a") == [(20, 20)]
    assert loader.rows("SELECT indexname::text FROM pg_indexes WHERE schemaname = 'geo' ORDER BY 1") == [
        ("a_geom_idx",), ("a_pkey",)
    ]  # fmt: skip


def test_append_adds_rows_and_goes_on_counting(loader: Loader) -> None:
    loader.put("a.gpkg", gpkg(boxes(30), loader.folder))
    loader.load("a.gpkg", load_method="append")
    loader.put("a.gpkg", gpkg(boxes(20), loader.folder))
    result = loader.load("a.gpkg", load_method="append")
    assert result["total_features_loaded"] == 20
    assert loader.rows("SELECT count(*), max(id), count(DISTINCT id) FROM geo.a") == [(50, 50, 50)]


def test_a_try_that_is_repeated_loads_its_rows_once(loader: Loader) -> None:
    lost: list[str] = []

    def lose_once(ctx: TaskContext) -> None:
        ctx.check = _fail_after(1, ctx.check) if ctx.task.attempt == 1 else ctx.check  # type: ignore[method-assign]
        lost.append(ctx.task.task_id)

    loader.put("a.gpkg", gpkg(boxes(30), loader.folder))
    loader.before_task = lose_once
    loader.load("a.gpkg", chunk_size=10)
    assert len(lost) == 10
    assert loader.rows("SELECT count(*), count(DISTINCT id) FROM geo.a") == [(30, 30)]


def _fail_after(calls: int, check: Callable[[], None]) -> Callable[[], None]:
    left = [calls]

    def checked() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise TransientError("The try is over.", remediation="Try again.")
        check()

    return checked


def test_collections_of_one_kind_become_multi_geometries(loader: Loader) -> None:
    mixed = GeometryCollection([LineString([(0, 0), (1, 1)]), LineString([(2, 2), (3, 3)])])
    loader.put("a.geojson", features((mixed, {}), (LineString([(0, 0), (1, 1)]), {})))
    result = loader.load("a.geojson")
    assert result["geometry_type"] == "MultiLineString"
    assert result["preprocessing_stats"]["geometry_type_changes"] == {
        "GeometryCollection->MultiLineString": 1,
        "LineString->MultiLineString": 1,
    }
