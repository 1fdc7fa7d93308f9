"""GeoJSON through a whole load: ids, times, odd values and large features come to the table as they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from shapely.geometry import Point

from tests.fixtures.vector import features
from tests.integration.vector.loading import Loader

POINT = {"type": "Point", "coordinates": [10, 50]}


def feature(properties: dict[str, Any], geometry: Any = POINT, **more: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties, "geometry": geometry, **more}


def collection(*made: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": made}).encode()


@pytest.mark.parametrize(
    ("ids", "kind"), [([1000, 1007], "integer"), ([7, 7], "integer"), ([2**53 + 1, 1], "bigint"), (["a", 7], "text")]
)
def test_ids_of_features_are_loaded(loader: Loader, ids: list[Any], kind: str) -> None:
    rows = [feature({"n": n, "id": f"own {n}"}, id=given) for n, given in enumerate(ids)]
    for name, data in {
        "a.geojson": collection(*rows),
        "b.geojsonl": b"\n".join(json.dumps(row).encode() for row in rows),
    }.items():
        loader.put(name, data)
        loader.load(name, target_table="made")
        found = loader.rows("SELECT source_id, source_id_2, pg_typeof(source_id)::text FROM geo.made ORDER BY n")
        expected = [str(given) if kind == "text" else given for given in ids]
        assert found == [(given, f"own {n}", kind) for n, given in enumerate(expected)]


def test_offsets_of_times_are_not_lost(loader: Loader) -> None:
    zoned = ["2020-01-01T09:00:00+02:00", "2020-01-01T09:00:00-05:00", "2020-01-01T09:00:00Z"]
    loader.put("a.geojson", collection(*(feature({"t": text}) for text in zoned)))
    loader.load("a.geojson")
    hours = [datetime(2020, 1, 1, hour, tzinfo=UTC) for hour in (7, 14, 9)]
    assert [row[0] for row in loader.rows("SELECT t FROM geo.a ORDER BY id")] == hours
    loader.put("b.geojson", collection(*(feature({"t": text}) for text in [*zoned, "2020-01-01T09:00:00"])))
    loader.load("b.geojson")
    assert [row[0] for row in loader.rows("SELECT t FROM geo.b ORDER BY id")] == [*zoned, "2020-01-01T09:00:00"]


def test_values_that_json_or_postgresql_cannot_hold_are_counted_and_spoil_no_others(loader: Loader) -> None:
    data = collection(feature({"a": "zz", "b": 10**25, "c": 1}), feature({"a": "ü", "b": 1, "c": 1.5}))
    loader.put("a.geojson", data.replace(b"zz", b"\xff").replace(b'"c": 1}', b'"c": NaN}'))
    result = loader.load("a.geojson")
    assert loader.rows("SELECT a, b, c::text FROM geo.a ORDER BY id") == [(None, str(10**25), "NaN"), ("ü", "1", "1.5")]
    assert result["conservation"]["values_nulled"] == {"a": 1}


def test_chunks_of_many_small_parts_hold_the_rows_of_the_file(loader: Loader) -> None:
    number = 23_456
    rows = [(Point(n % 180, n % 89), {"n": n, "text": "}, {" * (n % 3)}) for n in range(number)]
    loader.put("a.geojson", features(*rows))
    result = loader.load("a.geojson", chunk_size=4_000)
    assert (result["total_features_loaded"], result["upload_chunks"]) == (number, 6)
    wrong = "id <> n + 1 OR ST_X(geom) <> mod(n, 180) OR ST_Y(geom) <> mod(n, 89) OR text <> repeat('}, {', mod(n, 3))"
    assert loader.value(f"SELECT count(*) FROM geo.a WHERE {wrong}") == 0


def test_a_feature_of_many_parts_of_a_file_is_loaded(loader: Loader) -> None:
    line = {"type": "LineString", "coordinates": [[n / 10_000, 50.123456789] for n in range(150_000)]}
    loader.put("a.geojson", collection(feature({"n": 1}, line), feature({"n": 2}, line)))
    assert loader.load("a.geojson")["total_features_loaded"] == 2
    assert loader.rows("SELECT n, ST_NPoints(geom) FROM geo.a ORDER BY n") == [(1, 150_000), (2, 150_000)]
