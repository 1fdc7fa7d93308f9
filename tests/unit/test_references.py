"""A CRS that names a file by its place is refused before PROJ opens it."""

from __future__ import annotations

import json
from pathlib import Path

import pyproj
import pytest

from schema.errors import PermanentError
from services.crs import parse_layer_crs
from services.references import check_crs
from tests.fixtures.crs import BOUND, GEOGCS

PLACES = ("/etc/hostname", "./a.gsb", "a/../../b.gsb", "~/a.gsb", "http://127.0.0.1:9/a.tif", "\\\\host\\a.gsb")


def definitions(place: str) -> list[str]:
    """CRSs that name a grid, in the ways that PROJ knows."""
    return [
        BOUND.format(place),
        GEOGCS.format(f',EXTENSION["PROJ4_GRIDS","{place}"]', ""),
        GEOGCS.format("", f',EXTENSION["PROJ4","+proj=longlat +ellps=WGS84 +nadgrids=@null,{place}"]'),
        f"+proj=longlat +ellps=bessel +nadgrids={place} +type=crs",
        f"+proj=longlat +ellps=bessel +geoidgrids={place} +type=crs",
        f"+init={place}:1",
    ]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("number", range(6))
def test_a_place_is_refused(place: str, number: int) -> None:
    definition = definitions(place)[number]
    for check in (lambda: check_crs(definition, "a.shp"), lambda: parse_layer_crs(definition, "a.shp")):
        with pytest.raises(PermanentError) as raised:
            check()
        assert raised.value.error_code == "external_reference"
        assert "a.shp" in raised.value.message


@pytest.mark.parametrize("place", PLACES)
def test_a_place_in_projjson_is_refused(place: str) -> None:
    projjson = pyproj.CRS.from_wkt(BOUND.format("here.gsb")).to_json_dict()
    text = json.dumps(projjson).replace('"here.gsb"', json.dumps(place))
    assert text != json.dumps(projjson)
    with pytest.raises(PermanentError):
        check_crs(text, "a.parquet")


@pytest.mark.parametrize("number", range(5))
def test_a_grid_by_its_bare_name_is_looked_for_among_those_of_proj(number: int) -> None:
    check_crs(definitions("us_noaa_conus.tif")[number], "a.shp")


def test_the_answer_does_not_tell_whether_a_file_is_there(tmp_path: Path) -> None:
    there, absent = tmp_path / "there.gsb", tmp_path / "absent.gsb"
    there.write_bytes(b"NUM_OREC")
    said = []
    for path in (there, absent):
        with pytest.raises(PermanentError) as raised:
            parse_layer_crs(BOUND.format(path), "a.shp")
        said.append((raised.value.error_code, raised.value.message.replace(str(path), "")))
    assert said[0] == said[1]


@pytest.mark.parametrize("code", ["EPSG:4326", "EPSG:25832", "EPSG:3857", "EPSG:31467", "EPSG:2193", "ESRI:102100"])
def test_a_registered_crs_names_no_place(code: str) -> None:
    crs = pyproj.CRS.from_user_input(code)
    for text in (crs.to_wkt(), crs.to_wkt("WKT1_GDAL"), crs.to_json()):
        check_crs(text, "a.shp")


def test_web_mercator_as_gdal_writes_it_names_none() -> None:
    check_crs('PROJCS["x",EXTENSION["PROJ4","+proj=merc +a=6378137 +nadgrids=@null +wktext"]]', "a.shp")
