"""Values of GeoJSON: types are those of whole columns, ids stay, and no value becomes another one."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schema.errors import PermanentError
from services.vector.geometry import reasons
from services.vector.load import pg_types
from services.vector.read_options import ReadOptions
from services.vector.readers.geojson.layer import open_geojson
from tests.fixtures import plain_gdal
from tests.unit.vector.geojson_files import read

POINT = {"type": "Point", "coordinates": [1, 2]}


def feature(properties: dict[str, Any] | None = None, geometry: Any = POINT, **more: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": properties or {}, "geometry": geometry, **more}


def collection(*features: Any, **more: Any) -> bytes:
    return json.dumps({"type": "FeatureCollection", "features": list(features), **more}).encode()


def column(tmp_path: Path, *values: Any) -> tuple[str, list[Any]]:
    found = read(tmp_path / "a.geojson", collection(*(feature({"a": value}) for value in values)))
    return found.types["a"], found.column("a")


@pytest.mark.parametrize(
    ("values", "kind", "read_as"),
    [
        ((1, None, -2), "integer", [1, None, -2]),
        ((1, 2**31), "bigint", [1, 2**31]),
        ((1, 2**63), "text", ["1", str(2**63)]),
        ((-(2**63), 10**30), "text", [str(-(2**63)), str(10**30)]),
        ((1, 1.5, None), "double", [1.0, 1.5, None]),
        ((2**53 + 1, 1.5), "text", [str(2**53 + 1), "1.5"]),
        ((2**60, 1.5), "double", [float(2**60), 1.5]),
        ((True, None, False), "boolean", [True, None, False]),
        ((True, 1), "json", ["true", "1"]),
        (("x", 1, 2.5), "json", ['"x"', "1", "2.5"]),
        (("12", "007"), "text", ["12", "007"]),
        (("1,5", "2"), "text", ["1,5", "2"]),
        (("true", "false"), "text", ["true", "false"]),
        (("", None), "text", ["", None]),
        ((None, None), "text", [None, None]),
        (([1, 2], [], None), "json", ["[1, 2]", "[]", None]),
        (({"b": [10**30]}, "x"), "json", ['{"b": [' + str(10**30) + "]}", '"x"']),
        (("2020-01-01", "2020-12-31", None), "date", [date(2020, 1, 1), date(2020, 12, 31), None]),
        (("2020-01-01T10:00:00.123456",), "timestamp", [datetime(2020, 1, 1, 10, 0, 0, 123456)]),  # noqa: DTZ001
        (("2020-01-01T10:00:00+02:00",), "timestamptz", [datetime(2020, 1, 1, 8, tzinfo=UTC)]),
        (("43-01-01",), "text", ["43-01-01"]),
        (("2020-01-01/2020-02-01",), "text", ["2020-01-01/2020-02-01"]),
        (("10:20:30.5 km",), "text", ["10:20:30.5 km"]),
        (("2020-01-01", "unknown"), "text", ["2020-01-01", "unknown"]),
        (("2020-01-01", 7), "json", ['"2020-01-01"', "7"]),
        (("2020-02-30",), "text", ["2020-02-30"]),
        (
            ("2020-01-01T09:00:00+02:00", "2020-01-01T09:00:00"),
            "text",
            ["2020-01-01T09:00:00+02:00", "2020-01-01T09:00:00"],
        ),
    ],
)
def test_a_type_is_that_of_the_whole_column(
    tmp_path: Path, values: tuple[Any, ...], kind: str, read_as: list[Any]
) -> None:
    assert column(tmp_path, *values) == (kind, read_as)


def test_numbers_that_json_does_not_have_stay_numbers_and_those_that_no_double_reaches_texts(tmp_path: Path) -> None:
    kind, values = column(tmp_path, math.nan, math.inf, 1)
    assert (kind, math.isnan(values[0]), values[1:]) == ("double", True, [math.inf, 1.0])
    data = collection(feature({"a": 1})).replace(b'"a": 1', b'"a": 1e400')
    assert read(tmp_path / "a.geojson", data).column("a") == ["1e400"]


@pytest.mark.parametrize("digits", [20, 300, 5_000, 20_000])
def test_a_whole_number_of_any_length_stays_as_it_is_written(tmp_path: Path, digits: int) -> None:
    data = collection(feature({"a": 1, "b": [1]}, None, id=1)).replace(b"1", b"7" * digits)
    found = read(tmp_path / "a.geojson", data)
    # Longer ones are texts within arrays, as Python reads no more digits of a number.
    inner = f"[{'7' * digits}]" if digits < 4_000 else f'["{"7" * digits}"]'
    assert found.rows[0][1] == ("7" * digits, "7" * digits, inner)


@pytest.mark.parametrize("raw", [b"\xff\xfe", b"\\ud800", b"a\xe9"])
def test_a_text_that_is_not_utf_8_spoils_no_other(tmp_path: Path, raw: bytes) -> None:
    data = collection(feature({"a": "zz", "n": 1}), feature({"a": "ü", "n": 2})).replace(b"zz", raw)
    path = tmp_path / "a.geojson"
    path.write_bytes(data)
    with open_geojson(path, "a", ReadOptions(), lambda: None, by_lines=False) as (_, batches):
        table = pa.Table.from_batches([batch.attributes for batch in batches]).combine_chunks()
    # The load counts what is not UTF-8, and loads NULL for it.
    values, lost = pg_types.to_carrier(table.column(0).chunk(0), pg_types.TEXT)
    assert (values.to_pylist(), lost) == ([None, "ü"], 1)
    assert table.column(1).to_pylist() == [1, 2]


@pytest.mark.parametrize("suffix", [".geojson", ".geojsonl"])
@pytest.mark.parametrize(
    ("ids", "kind", "read_as"),
    [
        ([1000, 1007], "integer", [1000, 1007]),
        ([7, 7], "integer", [7, 7]),
        ([2**53 + 1, None], "bigint", [2**53 + 1, None]),
        ([2**70, 1], "text", [str(2**70), "1"]),
        (["x", 7], "text", ["x", "7"]),
        ([1.5, True], "text", ["1.5", "true"]),
        ([0, None], "integer", [0, None]),
        (["2020-01-01", "2020-01-02"], "text", ["2020-01-01", "2020-01-02"]),
    ],
)
def test_ids_of_features_are_a_column(
    tmp_path: Path, suffix: str, ids: list[Any], kind: str, read_as: list[Any]
) -> None:
    features = [feature({"id": f"own {place}"}, id=given) for place, given in enumerate(ids)]
    data = collection(*features) if suffix == ".geojson" else b"\n".join(json.dumps(one).encode() for one in features)
    found = read(tmp_path / f"a{suffix}", data)
    assert found.names == ["id", "id"]
    assert [values for _, values in found.rows] == [(value, f"own {place}") for place, value in enumerate(read_as)]
    assert found.layer.fields[0][1] == {"integer": pa.int32(), "bigint": pa.int64(), "text": pa.string()}[kind]


@pytest.mark.parametrize("odd", ["null", '"x"', "5", "[]", "{}", '{"type": "feature"}', json.dumps(POINT)])
def test_an_entry_that_is_not_a_feature_is_a_row_with_a_fault(tmp_path: Path, odd: str) -> None:
    data = collection(feature({"n": 1}), "HERE", feature({"n": 3})).replace(b'"HERE"', odd.encode())
    found = read(tmp_path / "a.geojson", data)
    assert found.column("n") == [1, None, 3]
    assert found.faults == {1: reasons.NOT_A_FEATURE}


@pytest.mark.parametrize("suffix", [".geojson", ".geojsonl", ".ndjson"])
@pytest.mark.parametrize("head", ["", "\ufeff"])
@pytest.mark.parametrize("separator", ["", "\x1e"])
def test_sequences_are_read_whatever_their_names_say(tmp_path: Path, suffix: str, head: str, separator: str) -> None:
    texts = [
        json.dumps(feature({"n": 1})),
        json.dumps(POINT),
        json.dumps(feature({"n": 3}), indent=(separator and 1) or None),
    ]
    data = head + "".join(f"{separator}{text}\n" for text in texts)
    found = read(tmp_path / f"a{suffix}", data.encode())
    assert found.column("n") == [1, None, 3]
    assert [shape for shape, _ in found.rows] == [shapely.Point(1, 2).wkb] * 3


@pytest.mark.parametrize("texts", [[feature({"n": 1}), feature({"n": 2})], [json.loads(collection(feature()))]])
def test_features_that_span_lines_are_named_with_what_to_do(tmp_path: Path, texts: list[Any]) -> None:
    data = "\n".join(json.dumps(text, indent=1) for text in texts).encode()
    with pytest.raises(PermanentError, match="begins in line 1 spans several lines") as caught:
        read(tmp_path / "a.geojsonl", data)
    assert ".geojson" in caught.value.remediation


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": 1}, "JSON, but not GeoJSON"),
        ({"type": "Topology", "objects": {}}, "TopoJSON"),
        ({"type": "FeatureCollection"}, "JSON, but not GeoJSON"),
        ({"features": [feature()]}, 'has no "type"'),
        ({"geometryType": "esriGeometryPoint", "features": [{"attributes": {}}]}, "Esri JSON"),
    ],
)
def test_json_that_is_not_geojson_is_named(tmp_path: Path, value: Any, words: str) -> None:
    with pytest.raises(PermanentError, match=words):
        read(tmp_path / "a.geojson", json.dumps(value).encode())


def test_two_lists_of_features_are_refused(tmp_path: Path) -> None:
    data = collection(feature()).replace(b"]}]}", b"]}]}")[:-1] + b', "features": []}'
    with pytest.raises(PermanentError, match="two members"):
        read(tmp_path / "a.geojson", data)


def test_a_feature_that_is_nested_without_end_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    deep = collection(feature({"a": 0})).replace(b'"a": 0', b'"a": ' + b"[" * 200_000 + b"]" * 200_000)
    with pytest.raises(PermanentError, match="nested too deeply"):
        read(tmp_path / "a.geojson", deep)


@pytest.mark.parametrize("depth", [20, 400, 1_500, 5_000])
def test_geometries_and_values_that_are_nested_deeply_are_read_or_named(tmp_path: Path, depth: int) -> None:
    nest = b"[" * depth + b"]" * depth
    data = collection(
        feature({}, {"type": "Polygon", "coordinates": "HERE"}),
        feature({"a": "HERE"}, None, id="HERE"),
        feature({}, {"type": "GeometryCollection", "geometries": "HERE"}),
    ).replace(b'"HERE"', nest)
    found, message = None, ""
    try:
        found = read(tmp_path / "a.geojson", data)
    except PermanentError as exc:
        message = exc.message
    if found is None:
        # How deep Python's parser goes depends on its version.
        assert "nested too deeply" in message
        assert depth > 400
    else:
        assert found.faults == {0: reasons.UNREADABLE, 2: reasons.UNREADABLE}
        assert found.rows[1][1] == (nest.decode(), nest.decode())


def test_members_of_a_feature_without_properties_are_its_attributes(tmp_path: Path) -> None:
    found = read(
        tmp_path / "a.geojson", collection({"type": "Feature", "geometry": POINT, "x": 5, "bbox": [0, 0, 1, 1]})
    )
    assert (found.names, found.rows[0][1]) == (["x"], (5,))


# What GDAL reads

NUMBERS = st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.sampled_from([0.1, -0.0, 1e-300, 1e22, 5e-324])
WIDTHS = st.sampled_from([2, 2, 2, 3, 4])


@st.composite
def points(draw: st.DrawFn) -> list[Any]:
    width = draw(WIDTHS)
    return draw(st.lists(NUMBERS, min_size=width, max_size=width))


def lists(inner: st.SearchStrategy[Any], least: int = 0) -> st.SearchStrategy[list[Any]]:
    return st.lists(inner, min_size=least, max_size=4)


LINES, RINGS = lists(points(), 2), lists(points(), 4)
COORDINATES = {
    "Point": points(),
    "LineString": LINES,
    "Polygon": lists(RINGS, 1),
    "MultiPoint": lists(points()),
    "MultiLineString": lists(LINES),
    "MultiPolygon": lists(lists(RINGS, 1)),
}
SIMPLE = st.one_of(
    *(st.fixed_dictionaries({"type": st.just(name), "coordinates": inner}) for name, inner in COORDINATES.items())
)
GEOMETRIES = (
    st.none()
    | SIMPLE
    | st.fixed_dictionaries({"type": st.just("GeometryCollection"), "geometries": st.lists(SIMPLE, max_size=3)})
)
SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "whole": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "real": st.floats(allow_nan=False, allow_infinity=False),
    "text": st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5).map("x".__add__),
    "flag": st.booleans(),
}


@given(
    rows=st.lists(
        st.tuples(
            GEOMETRIES, st.fixed_dictionaries({}, optional={name: st.none() | one for name, one in SCALARS.items()})
        ),
        min_size=1,
        max_size=6,
    ),
    by_lines=st.booleans(),
    escaped=st.booleans(),
)
@settings(suppress_health_check=(HealthCheck.function_scoped_fixture,), deadline=None)
def test_features_are_read_as_gdal_reads_them(
    tmp_path: Path, rows: list[tuple[Any, dict[str, Any]]], by_lines: bool, escaped: bool
) -> None:
    features = [feature(properties, geometry) for geometry, properties in rows]
    path = tmp_path / ("a.geojsonl" if by_lines else "a.geojson")
    texts = [json.dumps(one, ensure_ascii=escaped) for one in features]
    data = "\n".join(texts) if by_lines else f'{{"type": "FeatureCollection", "features": [{", ".join(texts)}]}}'
    found = read(path, data.encode())
    names, theirs = plain_gdal.read(path)
    assert found.faults == {}
    # GDAL sorts names so that each row keeps its order as far as possible; here they stand as they first occur.
    ours = [dict(zip(found.names, values, strict=True)) for _, values in found.rows]
    assert ours == [dict(zip(names, values, strict=True)) for _, values in theirs]
    assert [_plain(shape) for shape, _ in found.rows] == [_plain(shape) for shape, _ in theirs]


def _plain(shape: bytes | None) -> bytes | None:
    """The same WKB for one geometry, however Z is marked."""
    read_shape = None if shape is None else shapely.from_wkb(shape, on_invalid="ignore")
    return shape if read_shape is None else shapely.to_wkb(read_shape, byte_order=1)
