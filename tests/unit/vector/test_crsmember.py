"""The crs member of a GeoJSON: names are those that GDAL understands, and nothing is fetched, however it is written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyproj
import pytest

from schema.errors import PermanentError
from services.vector.gdal import pyogrio
from services.vector.readers.geojson import crs_member as geojson_crs_member

POINT = {"type": "Point", "coordinates": [7, 51]}
LINK = {"type": "link", "properties": {"href": "http://127.0.0.1:9/x"}}


def feature(**more: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": POINT, **more}


def collection(crs: Any, key: str = "crs") -> str:
    return json.dumps({"type": "FeatureCollection", key: crs, "features": [feature()]})


def named(name: str, kind: str = "name", key: str = "name") -> str:
    return collection({"type": kind, "properties": {key: name}})


def write(folder: Path, text: str) -> Path:
    path = folder / "a.geojson"
    path.write_text(text)
    return path


def check_links(path: Path) -> None:
    geojson_crs_member.check_links(path, lambda: None)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (named("EPSG:25832"), "EPSG:25832"),
        (named("epsg:25832"), "EPSG:25832"),
        (named("urn:ogc:def:crs:EPSG::25832"), "EPSG:25832"),
        (named("URN:OGC:DEF:CRS:EPSG::25832"), "EPSG:25832"),
        (named("urn:ogc:def:crs:EPSG:6.9:25832"), "EPSG:25832"),
        (named("urn:x-ogc:def:crs:EPSG:25832"), "EPSG:25832"),
        (named("http://www.opengis.net/def/crs/EPSG/0/25832"), "EPSG:25832"),
        (named("https://www.opengis.net/def/crs/EPSG/0/25832"), "EPSG:25832"),
        (named("ESRI:102100"), "ESRI:102100"),
        (named("urn:ogc:def:crs:ESRI::102100"), "ESRI:102100"),
        (named("urn:ogc:def:crs:EPSG::25832", "OGC", "urn"), "EPSG:25832"),
        (named("EPSG:25832", "NAME"), "EPSG:25832"),
        (collection({"type": "name", "properties": {"name": "EPSG:25832"}}, "CRS"), "EPSG:25832"),
        (collection({"type": "EPSG", "properties": {"code": 25832}}), "EPSG:25832"),
        *((named(name), "OGC:CRS84") for name in sorted(geojson_crs_member._DEGREES)),
    ],
)
def test_a_name_that_is_known_is_what_gdal_takes_it_for(tmp_path: Path, text: str, code: str) -> None:
    path = write(tmp_path, text)
    check_links(path)
    geojson_crs_member.check_known(path)
    read = pyogrio.read_info(path)["crs"]
    # GDAL shows a CRS84 with heights, too.
    found, expected = pyproj.CRS.from_user_input(read).to_2d(), pyproj.CRS.from_user_input(code)
    assert found.equals(expected, ignore_axis_order=True) or (found.is_geographic and code == "OGC:CRS84")


@pytest.mark.parametrize(
    "text",
    [
        named("WGS 84 / UTM zone 32N"),
        named("http://www.opengis.net/gml/srs/epsg.xml#25832"),
        named("http://127.0.0.1:9/def/crs/EPSG/0/25832"),
        named("http://www.opengis.net/def/crs/EPSG/0/25832/../../x"),
        named("https://example.org/CRS84"),
        named("EPSG:4326 of my own"),
        named("EPSG:999999"),
        named("urn:ogc:def:crs:EPSG::999999"),
        named("+proj=longlat +nadgrids=/etc/hostname"),
        named("+init=/etc/hostname:1"),
        named("/vsicurl/http://127.0.0.1:9/x"),
        named("file:///etc/hostname"),
        named("http://127.0.0.1:9/x", "OGC", "urn"),
        collection({"type": "EPSG", "properties": {"code": 999999}}),
        collection({"Type": "Name", "Properties": {"Name": "mine"}}, "CRS"),
    ],
)
def test_any_other_name_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PermanentError) as raised:
        geojson_crs_member.check_known(write(tmp_path, text))
    assert raised.value.error_code == "crs_unknown"
    assert "source_crs" in raised.value.remediation


FETCHED = {
    "at the top": collection(LINK),
    "with url": collection({"type": "link", "properties": {"url": "http://127.0.0.1:9/x"}}),
    "of type url": collection({"type": "url", "properties": {"url": "http://127.0.0.1:9/x"}}),
    "in capitals": collection({"TYPE": "LINK", "properties": LINK["properties"]}, "Crs"),
    "of a longer type": collection({"type": "linkage", "properties": LINK["properties"]}),
    "an escaped key": collection(LINK).replace('"crs"', '"\\u0063r\\u0073"'),
    "an escaped key in capitals": collection(LINK).replace('"crs"', '"C\\u0052S"'),
    "an escaped type": collection(LINK).replace('"link"', '"\\u006cink"'),
    "a key with a NUL": collection(LINK).replace('"crs"', '"crs\\u0000x"'),
    "a type with a NUL": collection(LINK).replace('"link"', '"link\\u0000x"'),
    "a type's key with a NUL": collection(LINK).replace('"type": "link"', '"type\\u0000": "link"'),
    "a comment before the colon": collection(LINK).replace('"crs":', '"crs" /* " */ :'),
    "a comment behind the colon": collection(LINK).replace('"crs":', '"crs": /* { */'),
    "the last of two": collection({"type": "name", "properties": {}}).replace(
        '"type": "name"', '"type": "name", "type": "link"'
    ),
    "in a geometry": json.dumps(feature(geometry={**POINT, "crs": LINK})),
    "in a part of a geometry": json.dumps(
        feature(geometry={"type": "GeometryCollection", "geometries": [{**POINT, "crs": LINK}]})
    ),
    "in a feature": json.dumps(feature(crs=LINK)),
    "in a bare geometry": json.dumps({**POINT, "crs": LINK}),
    "in another kind of quotes": "{'type': 'Point', 'crs': {'type': 'link'}}",
    "behind much else": '{"type": "FeatureCollection", "x": "' + "y" * 5_000_000 + '", ' + collection(LINK)[1:],
    "before much else": collection(LINK)[:-1] + ', "x": "' + "y" * 5_000_000 + '"}',
    "behind much space": collection(LINK).replace('"crs":', '"crs":' + " " * 100_000),
    "of much space": collection({**LINK, "x": " " * 100_000}),
}


@pytest.mark.parametrize("text", FETCHED.values(), ids=FETCHED)
def test_a_member_that_gdal_would_fetch_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(PermanentError) as raised:
        check_links(write(tmp_path, text))
    assert raised.value.error_code == "external_reference"


@pytest.mark.parametrize("cut", range(-40, 12, 2))
def test_a_member_is_found_wherever_a_block_ends(tmp_path: Path, cut: int) -> None:
    begin = '{"type": "FeatureCollection", "x": "'
    text = (
        begin
        + "y" * (geojson_crs_member._BLOCK - len(begin) - cut - 4)
        + '", "\\u0063\\u0072\\u0073": {"type": "link"}}'
    )
    with pytest.raises(PermanentError):
        check_links(write(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(feature()),
        collection({"type": "name", "properties": {"name": "EPSG:25832"}}),
        collection("http://127.0.0.1:9/x"),
        collection(None),
        json.dumps(feature(properties={"crs": "link", "name": "crs", "type": "link", "crs2": LINK})),
        json.dumps(feature(properties={"crs": 7, "text": "c\u0072s \u0072 \u00e9"})),
        json.dumps(feature(geometry={**POINT, "crs": {"type": "name", "properties": {"name": "EPSG:4326"}}})),
        '{"type": "Point", "coordinates": [7, 51], "x": "crs"',
        '{"type": "Point", "coordinates": [7, 51], "crs"',
        "",
    ],
)
def test_what_gdal_does_not_fetch_is_left_alone(tmp_path: Path, text: str) -> None:
    check_links(write(tmp_path, text))


def test_a_crs_member_of_brackets_without_end_names_nothing(tmp_path: Path) -> None:
    path = tmp_path / "deep.geojson"
    path.write_text('{"type": "FeatureCollection", "crs": {"type": ' + "[" * 50_000)
    assert geojson_crs_member.find_name(path) is None


def test_the_name_is_found_behind_such_a_member(tmp_path: Path) -> None:
    path = tmp_path / "deep.geojson"
    crs = '"crs": {"type": "name", "properties": {"name": "EPSG:25832"}}'
    path.write_text(
        '{"features": [{"properties": {"crs": {"type": ' + "[" * 50_000 + "]" * 50_000 + "}}}], " + crs + "}"
    )
    assert geojson_crs_member.find_name(path) == "EPSG:25832"
