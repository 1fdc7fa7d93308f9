"""What a load says of itself: nothing in its result may be taken for something else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

import pytest
from shapely.geometry import Point, box

from schema.jobs import Json
from tests.fixtures.vector import BOWTIE, boxes, features, frame, geojson, gpkg, zipped
from tests.integration.vector.loading import Loader
from tests.integration.vector.tables import do, load_boxes


def test_the_box_of_the_summary_is_in_the_crs_of_the_table(loader: Loader) -> None:
    loader.put("a.json", features((Point(9, 45), {}), (Point(10, 46), {})))
    summary = loader.load("a.json", target_crs="EPSG:32632")["summary"]
    extent = loader.rows(
        "SELECT ST_XMin(e), ST_YMin(e), ST_XMax(e), ST_YMax(e) FROM (SELECT ST_Extent(geom) AS e FROM geo.a) AS x"
    )
    assert summary["bbox"] == pytest.approx(extent[0])
    assert summary["crs"] == "EPSG:32632"
    assert summary["bbox_wgs84"] == pytest.approx([9, 45, 10, 46], abs=0.01)


def test_an_append_tells_the_rows_it_added_from_those_of_the_table(loader: Loader) -> None:
    first = load_boxes(loader, 5, load_method="append")["summary"]
    assert (first["rows_added"], first["count"]) == (5, 5)
    second = load_boxes(loader, 3, load_method="append")["summary"]
    assert (second["rows_added"], second["count"]) == (3, 8)
    replaced = load_boxes(loader, 2)["summary"]
    assert (replaced["rows_added"], replaced["count"]) == (2, 2)


@pytest.mark.parametrize("view", [False, True], ids=["swapped", "in place"])
def test_comments_of_people_are_kept(loader: Loader, view: bool) -> None:
    """Whether the table is swapped, or its rows are replaced because a view depends on it."""
    load_boxes(loader, 3)
    table = loader.value("SELECT obj_description('geo.a'::regclass)")
    do(
        loader,
        f"COMMENT ON TABLE geo.a IS '{table}. Checked by Anna'",
        "COMMENT ON COLUMN geo.a.name IS 'Loaded by Geostage, 50% of it: ask Anna'",
        *["CREATE VIEW geo.v AS SELECT * FROM geo.a"] * view,
    )
    load_boxes(loader, 4)
    assert loader.value("SELECT obj_description('geo.a'::regclass)") == f"{table}. Checked by Anna"
    assert loader.value("SELECT col_description('geo.a'::regclass, 2)") == "Loaded by Geostage, 50% of it: ask Anna"
    assert loader.value("SELECT col_description('geo.a'::regclass, 1)").startswith("Loaded by Geostage: number")


@pytest.mark.parametrize("view", [False, True], ids=["swapped", "in place"])
def test_comments_of_our_own_are_written_anew(loader: Loader, view: bool) -> None:
    load_boxes(loader, 3)
    before = loader.value("SELECT obj_description('geo.a'::regclass)")
    do(loader, *["CREATE VIEW geo.v AS SELECT * FROM geo.a"] * view)
    load_boxes(loader, 4)
    assert loader.value("SELECT obj_description('geo.a'::regclass)") != before


def test_a_column_that_had_to_make_room_for_one_of_ours_is_a_warning(loader: Loader) -> None:
    loader.put("a.json", features((Point(1, 1), {"ID": 7, "geom": "x", "Name": "n"})))
    warning = loader.warnings("a.json")["own_columns_renamed"]
    assert warning["count"] == 2
    assert "'ID' is source_id, 'geom' is source_geom" in warning["message"]
    loader.put("a.json", features((Point(1, 1), {"Name": "n"})))
    assert loader.warnings("a.json") == {}


def test_dropped_heights_are_a_warning_with_their_number(loader: Loader) -> None:
    loader.put("a.json", features((Point(1, 1, 5), {}), (Point(2, 2), {}), (Point(3, 3, 0), {}), (None, {})))
    assert loader.warnings("a.json", max_rejected=1)["z_m_dropped"]["count"] == 2


def _with_attributes(data: bytes, loader: Loader) -> bytes:
    path = loader.folder / "attributes.gpkg"
    path.write_bytes(data)
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("CREATE TABLE owners (id INTEGER PRIMARY KEY, name TEXT)")
        db.execute(
            "INSERT INTO gpkg_contents (table_name, data_type, identifier) VALUES ('owners', 'attributes', 'owners')"
        )
    return path.read_bytes()


def test_a_layer_without_geometry_is_reported_unless_another_one_was_named(loader: Loader) -> None:
    loader.put("a.gpkg", _with_attributes(gpkg(boxes(3), loader.folder), loader))
    assert "owners" in loader.warnings("a.gpkg")["layers_without_geometry"]["message"]
    assert "owners" in loader.warnings("a.gpkg", layer="*")["layers_without_geometry"]["message"]
    assert "layers_without_geometry" not in loader.warnings("a.gpkg", layer="made")


def test_a_dry_run_says_what_would_become_of_each_row(loader: Loader) -> None:
    shapes: list[tuple[Any, Json]] = [(BOWTIE, {}), (box(0, 0, 1, 1), {}), (box(0, 89, 1, 91), {}), (None, {})]
    loader.put("a.json", features(*shapes))
    found = loader.load("a.json", dry_run=True, max_rejected=2)
    loaded = loader.load("a.json", max_rejected=2)
    assert {**found["conservation"], "rejects_table": None} == {**loaded["conservation"], "rejects_table": None}
    assert found["geometry_type"] == loaded["geometry_type"] == "MultiPolygon"
    warnings = loader.warnings("a.json", dry_run=True, max_rejected=2)
    assert warnings["rows_rejected"]["count"] == 2
    assert "load_would_fail" not in warnings


@pytest.mark.parametrize("write", [geojson, gpkg])
def test_a_dry_run_warns_of_a_load_that_would_fail(loader: Loader, write: object) -> None:
    assert callable(write)
    loader.put("a.gpkg" if write is gpkg else "a.json", write(frame([box(0, 0, 1, 1), None]), loader.folder))
    name = "a.gpkg" if write is gpkg else "a.json"
    message = loader.warnings(name, dry_run=True)["load_would_fail"]["message"]
    assert message.startswith("too_many_rejected: 1 of 2 rows were rejected (1 null_geometry)")
    assert loader.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'geo'") == []


def test_a_dry_run_of_several_layers_names_the_table_of_each_warning(loader: Loader) -> None:
    files = {f"{name}.geojson": geojson(frame([box(0, 0, 1, 1), None]), loader.folder) for name in ("one", "two")}
    loader.put("a.zip", zipped(files))
    assert loader.warnings("a.zip", layer="*", dry_run=True)["load_would_fail"]["message"].startswith("geo.a__two: ")
