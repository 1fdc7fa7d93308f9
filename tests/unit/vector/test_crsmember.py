"""The crs member of a GeoJSON: names that are known are understood, others refused, and nothing is fetched."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from schema.errors import PermanentError
from services.vector.readers.geojson import crs_member
from tests.unit.vector.geojson_files import read

POINT = {"type": "Point", "coordinates": [7, 51]}
LINK = {"type": "link", "properties": {"href": "http://127.0.0.1:9/x"}}


def feature(**more: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": POINT, **more}


def collection(crs: Any) -> str:
    return json.dumps({"type": "FeatureCollection", "crs": crs, "features": [feature()]})


def named(name: str, kind: str = "name", key: str = "name") -> str:
    return collection({"type": kind, "properties": {key: name}})


def crs_of(folder: Path, text: str, suffix: str = ".geojson", **options: Any) -> str | None:
    return read(folder / f"a{suffix}", text.encode(), **options).layer.crs


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
        (named("EPSG:25832").replace('"crs"', '"\\u0063rs"'), "EPSG:25832"),
        (collection({"type": "EPSG", "properties": {"code": 25832}}), "EPSG:25832"),
        (json.dumps(feature(crs={"type": "name", "properties": {"name": "EPSG:25832"}})), "EPSG:25832"),
        (json.dumps({**POINT, "crs": {"type": "name", "properties": {"name": "EPSG:25832"}}}), "EPSG:25832"),
        (named("EPSG:25832").replace("]}]}", "]}], " + '"x": "' + "y" * 100_000 + '"}'), "EPSG:25832"),
        (collection(None), "EPSG:4326"),
        (collection("EPSG:25832"), "EPSG:4326"),
        (collection({"type": "name", "properties": {}}), "EPSG:4326"),
        (json.dumps({"type": "FeatureCollection", "features": [feature(properties={"crs": LINK})]}), "EPSG:4326"),
        *((named(name), "EPSG:4326") for name in sorted(crs_member._DEGREES)),
    ],
)
def test_a_name_that_is_known_is_understood(tmp_path: Path, text: str, code: str) -> None:
    assert crs_of(tmp_path, text) == code


def test_the_crs_of_lines_is_that_of_the_first(tmp_path: Path) -> None:
    line = json.dumps(feature(crs={"type": "name", "properties": {"name": "EPSG:25832"}}))
    assert crs_of(tmp_path, f"{line}\n{line}\n", ".geojsonl") == "EPSG:25832"


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
        collection({"Type": "Name", "Properties": {"Name": "mine"}}),
    ],
)
def test_any_other_name_is_refused_unless_the_job_names_the_crs(tmp_path: Path, text: str) -> None:
    with pytest.raises(PermanentError) as raised:
        crs_of(tmp_path, text)
    assert raised.value.error_code == "crs_unknown"
    assert "source_crs" in raised.value.remediation
    assert read(tmp_path / "a.geojson", source_crs="EPSG:25832").rows


LINKS = {
    "at the top": collection(LINK),
    "with url": collection({"type": "link", "properties": {"url": "http://127.0.0.1:9/x"}}),
    "of type url": collection({"type": "url", "properties": {"url": "http://127.0.0.1:9/x"}}),
    "in capitals": collection({"TYPE": "LINK", "properties": LINK["properties"]}),
    "of a longer type": collection({"type": "linkage", "properties": LINK["properties"]}),
    "an escaped key": collection(LINK).replace('"crs"', '"\\u0063r\\u0073"'),
    "an escaped type": collection(LINK).replace('"link"', '"\\u006cink"'),
    "behind the features": json.dumps({"type": "FeatureCollection", "features": [feature()], "crs": LINK}),
    "in a feature": json.dumps(feature(crs=LINK)),
    "in a feature among others": json.dumps({"type": "FeatureCollection", "features": [feature(), feature(crs=LINK)]}),
    "in a geometry": json.dumps(feature(geometry={**POINT, "crs": LINK})),
    "in a bare geometry": json.dumps({**POINT, "crs": LINK}),
}


@pytest.mark.parametrize("text", LINKS.values(), ids=LINKS)
@pytest.mark.parametrize("source_crs", [None, "EPSG:25832"])
def test_a_crs_that_is_elsewhere_is_refused(tmp_path: Path, text: str, source_crs: str | None) -> None:
    with pytest.raises(PermanentError) as raised:
        crs_of(tmp_path, text, source_crs=source_crs)
    assert raised.value.error_code == "external_reference"
