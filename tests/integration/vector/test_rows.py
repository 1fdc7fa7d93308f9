"""Every row is accounted for: loaded, or rejected with a reason; and every value is right, or NULL and counted."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime

import geopandas as gpd
import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, Point, Polygon, box

from schema.errors import PermanentError
from tests.fixtures.vector import BOWTIE, boxes, features, frame, gpkg
from tests.integration.vector.loading import Loader

NOTHING = (None, {"name": "nothing"})


def test_rejected_rows_are_kept_with_their_number_and_reason(loader: Loader) -> None:
    loader.put("a.json", features((Point(1, 2), {"name": "one"}), NOTHING, (Point(5, 6), {"name": "three"})))
    result = loader.load("a.json", max_rejected=1)
    report = result["conservation"]
    assert (report["rows_in"], report["rows_loaded"], report["rows_rejected"]) == (3, 2, 1)
    assert report["reasons"] == {"null_geometry": 1}
    assert report["rejects_table"] == "geo.a__rejects"
    assert loader.rows("SELECT id, name FROM geo.a ORDER BY id") == [(1, "one"), (3, "three")]
    assert loader.rows("SELECT row_number, reason, raw_row FROM geo.a__rejects") == [
        (2, "null_geometry", {"properties": {"name": "nothing"}, "geometry": None})
    ]


def test_a_load_without_rejects_drops_those_of_the_load_before(loader: Loader) -> None:
    loader.put("a.json", features((Point(1, 2), {"name": "one"}), NOTHING))
    loader.load("a.json", max_rejected=1)
    loader.put("a.json", features((Point(1, 2), {"name": "one"})))
    loader.load("a.json", max_rejected=1)
    assert loader.rows("SELECT tablename::text FROM pg_tables WHERE schemaname = 'geo'") == [("a",)]


@pytest.mark.parametrize(
    ("bad", "max_rejected", "loads"), [(1, None, True), (2, None, False), (2, "2%", True), (2, 1, False), (2, 2, True)]
)
def test_more_rejected_rows_than_allowed_fail_the_job(
    loader: Loader, bad: int, max_rejected: int | str | None, loads: bool
) -> None:
    loader.put("a.json", features(*[(Point(n, 1), {}) for n in range(100 - bad)], *[(None, {})] * bad))
    if loads:
        assert loader.load("a.json", max_rejected=max_rejected)["total_features_loaded"] == 100 - bad
        return
    with pytest.raises(PermanentError) as caught:
        loader.load("a.json", max_rejected=max_rejected)
    assert caught.value.error_code == "too_many_rejected"
    assert "2 null_geometry" in caught.value.message
    assert loader.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'geo'") == []


def test_append_allows_no_rejected_row_by_itself(loader: Loader) -> None:
    loader.put("a.json", features(*[(Point(n, 1), {}) for n in range(150)], (None, {})))
    with pytest.raises(PermanentError, match="1 of 151 rows were rejected"):
        loader.load("a.json", load_method="append")


def test_null_and_empty_geometries_can_be_kept(loader: Loader) -> None:
    loader.put("a.json", features((Polygon(), {"name": "empty"}), NOTHING, (box(0, 0, 1, 1), {"name": "box"})))
    result = loader.load("a.json", keep_null_geometry=True)
    assert result["conservation"]["null_geometries_kept"] == 2
    assert loader.rows("SELECT id, geom IS NULL FROM geo.a ORDER BY id") == [(1, True), (2, True), (3, False)]


def test_all_rows_without_geometry(loader: Loader) -> None:
    loader.put("a.json", features(NOTHING, NOTHING))
    with pytest.raises(PermanentError, match="2 of 2 rows were rejected \\(2 null_geometry\\)"):
        loader.load("a.json")
    assert loader.load("a.json", keep_null_geometry=True)["total_features_loaded"] == 2
    assert loader.value("SELECT ST_Extent(geom) IS NULL FROM geo.a")


def test_points_lines_and_polygons_together_are_refused_with_their_counts(loader: Loader) -> None:
    mixed = (Point(0, 0), LineString([(0, 0), (1, 1)]), box(0, 0, 1, 1), box(0, 0, 2, 2))
    loader.put("a.json", features(*((shape, {}) for shape in mixed)))
    with pytest.raises(PermanentError, match="1 points, 1 lines, 2 polygons"):
        loader.load("a.json")
    result = loader.load("a.json", geometry_type="polygon", max_rejected=2)
    assert result["conservation"]["reasons"] == {"other_geometry_type": 2}
    assert loader.rows("SELECT id FROM geo.a ORDER BY id") == [(3,), (4,)]


def test_an_invalid_geometry_too_large_to_repair_is_a_rejected_row(loader: Loader) -> None:
    loader.configure(max_repair_vertices=50)
    spikes = Polygon([*((x / 100, 0) for x in range(100)), (0, 2), (2, 2)])
    assert not spikes.is_valid
    loader.put("a.json", features((BOWTIE, {}), (spikes, {}), (shapely.segmentize(box(0, 0, 9, 9), 0.1), {})))
    result = loader.load("a.json", max_rejected=1)
    assert result["conservation"]["reasons"] == {"too_many_vertices_to_repair": 1}
    assert loader.value("SELECT count(*) FROM geo.a") == 2


@pytest.mark.slow
def test_a_polygon_of_60_megabytes_is_loaded_and_an_invalid_one_rejected(loader: Loader) -> None:
    angles = np.linspace(0, 2 * np.pi, 3_750_000, endpoint=False)
    circle = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    broken = circle.copy()
    broken[10], broken[20] = circle[20], circle[10]
    loader.put("a.gpkg", gpkg(frame([Polygon(circle), Polygon(broken)]), loader.folder))
    result = loader.load("a.gpkg", max_rejected=1)
    assert result["conservation"]["reasons"] == {"too_many_vertices_to_repair": 1}
    assert loader.rows("SELECT id, ST_NPoints(geom) FROM geo.a") == [(1, 3_750_001)]
    assert loader.value("SELECT raw_row ->> 'geometry_bytes' FROM geo.a__rejects") == "60000029"


def test_curves_become_short_lines_as_ogr2ogr_makes_them(loader: Loader) -> None:
    loader.put("a.gpkg", _with_circle(gpkg(frame([box(0, 0, 1, 1), box(0, 0, 1, 1)]), loader.folder), loader))
    result = loader.load("a.gpkg")
    assert result["conservation"]["curves_linearised"] == 1
    points, area = loader.rows("SELECT ST_NPoints(geom), ST_Area(geom) FROM geo.a WHERE id = 1")[0]
    assert points == 91
    assert area == pytest.approx(np.pi, rel=1e-2)


def _with_circle(data: bytes, loader: Loader) -> bytes:
    """Put a CurvePolygon in the place of a GeoPackage's first geometry."""
    path = loader.folder / "curved.gpkg"
    path.write_bytes(data)
    ring = np.array([0, 0, 1, 1, 2, 0, 1, -1, 0, 0], "<f8").tobytes()
    head = bytes([1]) + (10).to_bytes(4, "little") + (1).to_bytes(4, "little")
    arc = bytes([1]) + (8).to_bytes(4, "little") + (5).to_bytes(4, "little") + ring
    with closing(sqlite3.connect(path)) as db, db:
        names = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
        for name in names:
            db.execute(f'DROP TRIGGER "{name}"')
        blob = b"GP\x00\x01" + (4326).to_bytes(4, "little") + head + arc
        db.execute("UPDATE made SET geom = ? WHERE fid = 1", [blob])
    return path.read_bytes()


def test_rows_outside_of_the_area_of_their_crs_are_counted(loader: Loader) -> None:
    loader.put(
        "a.gpkg", gpkg(frame([Point(500_000, 5_000_000), Point(3_500_000, 5_000_000)], "EPSG:32632"), loader.folder)
    )
    assert loader.load("a.gpkg")["conservation"]["outside_crs_area"] == 1


def test_another_target_crs(loader: Loader) -> None:
    loader.put("a.json", features((Point(9, 45), {})))
    result = loader.load("a.json", target_crs="EPSG:32632")
    assert result["preprocessing_stats"]["final_crs"] == "EPSG:32632"
    assert loader.rows("SELECT ST_X(geom)::int, ST_SRID(geom) FROM geo.a") == [(500_000, 32632)]
    assert result["summary"]["bbox_wgs84"] == pytest.approx([9, 45, 9, 45])


def test_a_crs_with_northing_first_is_read_in_the_right_order(loader: Loader) -> None:
    # EPSG:3035 and EPSG:31467 declare northing before easting; files have x first.
    loader.put("a.gpkg", gpkg(frame([Point(4_321_000, 3_210_000)], "EPSG:3035"), loader.folder))
    loader.load("a.gpkg")
    assert loader.rows("SELECT ST_X(geom)::numeric(5,2), ST_Y(geom)::numeric(5,2) FROM geo.a")[0] == (
        pytest.approx(10), pytest.approx(52),
    )  # fmt: skip


def test_every_column_type_arrives_as_it_is(loader: Loader) -> None:
    moment = datetime(2020, 2, 29, 12, 30, 15, 250_000, tzinfo=UTC)
    data = gpd.GeoDataFrame(
        {
            "short": np.array([-5, 7], np.int16), "whole": np.array([2**31 - 1, 0], np.int32),
            "big": np.array([2**63 - 1, -(2**63)], np.int64), "single": np.array([1.5, np.nan], np.float32),
            "double": [1e300, -0.1], "flag": [True, False], "text": ["Ærø €", ""], "at": [moment, moment],
        },
        geometry=[Point(0, 0), Point(1, 1)], crs="EPSG:4326",
    )  # fmt: skip
    loader.put("a.gpkg", gpkg(data, loader.folder))
    loader.load("a.gpkg")
    types = dict(loader.rows("SELECT column_name::text, data_type::text FROM information_schema.columns "
                             "WHERE table_schema = 'geo' AND table_name = 'a'"))  # fmt: skip
    assert [types[name] for name in data.columns[:-1]] == [
        "smallint", "integer", "bigint", "real", "double precision", "boolean", "text",
        "timestamp with time zone",
    ]  # fmt: skip
    rows = loader.rows("SELECT short, whole, big, single, double, flag, text, at FROM geo.a ORDER BY id")
    assert rows[0] == (-5, 2**31 - 1, 2**63 - 1, 1.5, 1e300, True, "Ærø €", moment)
    assert rows[1][:3] == (7, 0, -(2**63))
    assert rows[1][6] == ""


def test_lists_objects_and_mixed_columns_become_json(loader: Loader) -> None:
    rows = [(Point(n, n), {"mixed": n if n < 3 else f"x{n}", "list": [1, n], "object": {"a": [n]}}) for n in range(6)]
    loader.put("a.json", features(*rows))
    loader.load("a.json")
    got = loader.rows("SELECT mixed, list, object FROM geo.a ORDER BY id")
    assert got == [(row["mixed"], row["list"], row["object"]) for _, row in rows]


def test_dates_with_and_without_zone(loader: Loader) -> None:
    properties = {"zoned": "2020-06-01T12:00:00+02:00", "plain": "2020-06-01T12:00:00", "day": "2020-06-01"}
    loader.put("a.json", features((Point(0, 0), properties)))
    loader.load("a.json")
    assert loader.rows("SELECT zoned, plain, day FROM geo.a") == [
        (datetime(2020, 6, 1, 10, tzinfo=UTC), datetime(2020, 6, 1, 12), date(2020, 6, 1))  # noqa: DTZ001 - no zone
    ]


def test_values_that_postgresql_cannot_hold_become_null_and_are_counted(loader: Loader) -> None:
    loader.put("a.json", features((Point(0, 0), {"j": {"k": "\x00"}}), (Point(0, 0), {"j": {}})))
    result = loader.load("a.json")
    assert result["conservation"]["values_nulled"] == {"j": 1}
    assert loader.rows("SELECT j FROM geo.a ORDER BY id") == [(None,), ({},)]


def test_columns_with_difficult_names(loader: Loader) -> None:
    names = ["geom", "ID", "fid2", "order", "Größe (m²)", "Name", "NAME", 'quote"d', "semi;colon", "it's", "%s", "{x}"]
    loader.put("a.json", features((Point(0, 0), {name: number for number, name in enumerate(names)})))
    result = loader.load("a.json")
    got = loader.rows("SELECT * FROM geo.a")[0]
    assert list(got[1:-1]) == list(range(len(names)))
    assert result["conservation"]["columns_renamed"]["Größe (m²)"] == "größe_m2"
    assert result["conservation"]["columns_renamed"]["ID"] == "source_id"
    assert result["conservation"]["columns_renamed"]["NAME"] == "name_2"


@pytest.mark.parametrize("columns", [500, 1_598])
def test_many_columns(loader: Loader, columns: int) -> None:
    loader.put("a.json", features((Point(0, 0), {f"c{n}": True for n in range(columns)})))
    assert loader.load("a.json")["total_features_loaded"] == 1


def test_2000_columns_are_refused(loader: Loader) -> None:
    loader.put("a.json", features((Point(0, 0), {f"c{n}": 1 for n in range(2_000)})))
    with pytest.raises(PermanentError) as caught:
        loader.load("a.json")
    assert caught.value.error_code == "too_many_columns"


def test_a_row_larger_than_a_page_is_a_rejected_row(loader: Loader) -> None:
    small, large = {f"c{n}": "x" for n in range(600)}, {f"c{n}": f"{n:040d}" for n in range(600)}
    loader.put("a.json", features(*[(Point(0, 0), small)] * 5, (Point(1, 1), large), *[(Point(0, 0), small)] * 5))
    result = loader.load("a.json", max_rejected=1)
    assert result["conservation"]["reasons"] == {"row_too_big": 1}
    assert (
        loader.value("SELECT raw_row -> 'properties' ->> 'c7' FROM geo.a__rejects WHERE row_number = 6") == large["c7"]
    )
    assert loader.value("SELECT count(*) FROM geo.a") == 10


def test_a_dry_run_tells_what_it_found_and_writes_nothing(loader: Loader) -> None:
    loader.put("a.json", features((Point(0, 0), {"ID": 1}), NOTHING, (Point(1, 1), {"ID": 2})))
    found = loader.load("a.json", dry_run=True, chunk_size=2, target_crs="EPSG:3857")
    assert (found["status"], found["table"], found["upload_chunks"]) == ("dry_run", "geo.a", 2)
    assert found["columns_renamed"] == {"ID": "source_id"}
    assert found["layers"][0]["features"] == 3
    assert found["findings"]["null_or_unknown_geometries"] == 1
    assert (found["original_crs"], found["final_crs"]) == ("EPSG:4326", "EPSG:3857")
    assert loader.rows("SELECT tablename FROM pg_tables WHERE schemaname IN ('geo', 'geostage_work')") == []
    assert not loader.blobs.containers.get("geostage-work")


def test_the_result_holds_a_summary_for_stac_and_is_json(loader: Loader) -> None:
    loader.put("a.gpkg", gpkg(boxes(3), loader.folder))
    result = loader.load("a.gpkg")
    assert result["summary"] == {
        "bbox": [0.0, 0.0, 2.5, 0.5],
        "bbox_wgs84": [0.0, 0.0, 2.5, 0.5],
        "crs": "EPSG:4326",
        "rows_added": 3,
        "count": 3,
        "geometry_type": "Polygon",
        "columns": [
            {"name": "id", "type": "bigint"},
            {"name": "name", "type": "text"},
            {"name": "geom", "type": "geometry(Polygon,4326)"},
        ],
    }
    json.dumps(result, allow_nan=False)


def test_table_and_columns_say_where_they_come_from(loader: Loader) -> None:
    loader.put("a.gpkg", gpkg(frame([Point(5e5, 5e6)], "EPSG:32632", Name=["x"]), loader.folder))
    loader.load("a.gpkg")
    comment = loader.value("SELECT obj_description('geo.a'::regclass)")
    assert comment.startswith("Loaded by Geostage: bronze/a.gpkg, layer made; job ")
    assert "EPSG:32632 to EPSG:4326" in comment
    assert (
        loader.value("SELECT col_description('geo.a'::regclass, 2)") == "Loaded by Geostage: column 'Name' of the file"
    )


def test_a_rejected_row_is_kept_whatever_its_text_is(loader: Loader) -> None:
    """Bytes that are no UTF-8, beside a geometry that is missing."""
    path = loader.folder / "a.gpkg"
    path.write_bytes(gpkg(frame([Point(1, 1), None], name=["good", "bad"]), loader.folder))
    with closing(sqlite3.connect(path)) as db, db:
        for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            db.execute(f'DROP TRIGGER "{name}"')
        db.execute("UPDATE made SET name = CAST(? AS TEXT) WHERE name = 'bad'", [b"ab\xffcd"])
    loader.put("a.gpkg", path.read_bytes())
    assert loader.load("a.gpkg", max_rejected=1)["conservation"]["reasons"] == {"null_geometry": 1}
    assert loader.value("SELECT raw_row -> 'properties' ->> 'name' FROM geo.a__rejects") == "ab\ufffdcd"


def test_half_of_a_surrogate_pair_is_no_text_and_no_fault(loader: Loader) -> None:
    values = [r'{"b": "\ud800"}', r'"\ud800"', r'{"b": "\\u0000"}']
    features = [
        f'{{"type": "Feature", "properties": {{"a": {value}}}, "geometry": {{"type": "Point", "coordinates": [1, 2]}}}}'
        for value in values
    ]
    loader.put("a.geojson", f'{{"type": "FeatureCollection", "features": [{", ".join(features)}]}}'.encode())
    assert loader.load("a.geojson")["total_features_loaded"] == 3
    assert loader.value("SELECT a ->> 'b' FROM geo.a WHERE id = 3") == r"\u0000"
