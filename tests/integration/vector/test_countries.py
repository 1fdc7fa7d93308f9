"""CSV files of other countries and programs: names of columns, numbers, dates, codes, and shapes as GeoJSON."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from schema.errors import PermanentError
from tests.integration.vector.loading import Loader

COLUMN_TYPE = "SELECT atttypid::regtype::text FROM pg_attribute WHERE attrelid = 'geo.a'::regclass AND attname = '{}'"


def square(west: int) -> str:
    ring = [[west, 50], [west + 1, 50], [west + 1, 51], [west, 51], [west, 50]]
    return json.dumps({"coordinates": [ring], "type": "Polygon"})


def quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


@pytest.mark.parametrize(
    "header",
    [
        "Breite;Länge", "Breitengrad;Längengrad", "Geogr. Breite;Geogr. Länge", "BREITE;LAENGE", "latitud;longitud",
        "Latitudine;Longitudine", "Szerokość geograficzna;Długość geograficzna", "breedtegraad;lengtegraad",
        "Bredde;Længde", "Leveysaste;Pituusaste", "Zeměpisná šířka;Zeměpisná délka", "Širina;Dužina",
        "Földrajzi szélesség;Földrajzi hosszúság", "Γεωγραφικό πλάτος;Γεωγραφικό μήκος", "Ширина;Дължина",
        "decimalLatitude;decimalLongitude", "INTPTLAT;INTPTLONG", "POINT_Y;POINT_X", "coord_y;coord_x",
        "gps_lat;gps_lng",
    ],
)  # fmt: skip
def test_coordinates_are_found_in_the_languages_of_europe(loader: Loader, header: str) -> None:
    loader.put("a.csv", f"Name;{header}\nx;48,5;11,25\n".encode())
    loader.load("a.csv")
    assert loader.rows("SELECT ST_X(geom), ST_Y(geom) FROM geo.a") == [(11.25, 48.5)]


@pytest.mark.parametrize(
    "header", ["Hochwert;Rechtswert", "Northing;Easting", "Y_UTM;X_UTM", "coordonnee_y;coordonnee_x", "y_25832;x_25832"]
)
def test_eastings_and_northings_are_read_with_source_crs(loader: Loader, header: str) -> None:
    loader.put("a.csv", f"{header}\n5.333.943,12;691.608,50\n5.333.944,00;691.609,25\n".encode())
    with pytest.raises(PermanentError) as raised:
        loader.load("a.csv")
    assert raised.value.error_code == "crs_missing"
    loader.load("a.csv", source_crs=25832)
    assert (
        loader.rows("SELECT round(ST_X(geom)::numeric, 2)::text, round(ST_Y(geom)::numeric, 2)::text FROM geo.a")
        == [("11.58", "48.13")] * 2
    )


def test_a_projected_source_crs_chooses_easting_and_northing_where_a_table_has_degrees_too(loader: Loader) -> None:
    loader.put("a.csv", b"lat,lon,easting,northing\n48.13,11.58,691608.5,5333943.1\n")
    for source_crs, column in ((None, "lon"), ("25832", "easting"), ("EPSG:4258", "lon")):
        assert loader.load("a.csv", source_crs=source_crs)["reading"]["coordinates"]["x"] == column
        assert loader.value("SELECT round(ST_X(geom)::numeric, 2)::text FROM geo.a") == "11.58"


def test_dates_and_numbers_of_excel_in_german_are_dates_and_numbers(loader: Loader) -> None:
    rows = "1;48,5;11,25;31.12.2023;1.234,50;01.02.2023 08:05\r\n2;48,6;11,5;01.01.2024;12,00;31.01.2023 23:59\r\n"
    loader.put("a.csv", f"Nr;Breite;Länge;Datum;Preis;Zeit\r\n{rows}".encode("cp1252"))
    result = loader.load("a.csv")
    assert loader.rows("SELECT datum, preis, zeit::text FROM geo.a ORDER BY id") == [
        (date(2023, 12, 31), 1234.5, "2023-02-01 08:05:00"), (date(2024, 1, 1), 12.0, "2023-01-31 23:59:00")
    ]  # fmt: skip
    assert result["reading"]["notations"] == {
        "Breite": "decimal_comma", "Länge": "decimal_comma", "Datum": "date_dmy", "Preis": "grouped_comma",
        "Zeit": "timestamp_dmy",
    }  # fmt: skip


def test_one_impossible_latitude_is_one_rejected_row(loader: Loader) -> None:
    loader.put("a.csv", b"lat,lon\n48.1,11\n48.2,12\n95,13\n48.3,14\n48.4,15\n")
    with pytest.raises(PermanentError, match=r"row 3 \(coordinates_out_of_range\)") as raised:
        loader.load("a.csv")
    assert raised.value.error_code == "too_many_rejected"
    assert loader.load("a.csv", max_rejected=1)["total_features_loaded"] == 4
    assert loader.rows("SELECT row_number FROM geo.a__rejects") == [(3,)]
    loader.put("a.csv", b"lat,lon\n48.1,11\n95,13\n")
    assert loader.load("a.csv", max_rejected=1)["total_features_loaded"] == 1


def test_words_for_null_are_missing_coordinates(loader: Loader) -> None:
    loader.put("a.csv", b"lat,lon\n48.1,11\nNA,NA\nNaN,nan\n48.2,NA\n,\n")
    reasons = loader.load("a.csv", max_rejected=4)["conservation"]["reasons"]
    assert reasons == {"null_geometry": 3, "coordinates_unreadable": 1}


def test_codes_that_look_like_numbers_are_text_and_the_report_says_why(loader: Loader) -> None:
    rows = "10.10,50.1,12E4,1.5e-07,+4930,1.10\n10.2,50.2,7E12,2e-7,+4940,1.2\n"
    loader.put("a.csv", f"lon,lat,unit,ratio,phone,chapter\n{rows}".encode())
    result = loader.load("a.csv")
    assert loader.rows("SELECT lon, unit, ratio, phone, chapter FROM geo.a ORDER BY id") == [
        (10.1, "12E4", 1.5e-07, "+4930", "1.10"), (10.2, "7E12", 2e-07, "+4940", "1.2")
    ]  # fmt: skip
    assert result["reading"]["kept_as_text"] == {
        "unit": "row 1: '12E4' would become 120000",
        "phone": "row 1: '+4930' would become 4930",
        "chapter": "row 1: '1.10' would become 1.1",
    }


def test_codes_in_a_kml_are_text_too(loader: Loader) -> None:
    marks = "".join(
        f'<Placemark><ExtendedData><Data name="unit"><value>{unit}</value></Data></ExtendedData>'
        f"<Point><coordinates>10,{place}</coordinates></Point></Placemark>"
        for place, unit in ((50, "12E4"), (51, "7E12"))
    )
    loader.put("a.kml", f'<kml xmlns="http://www.opengis.net/kml/2.2"><Document>{marks}</Document></kml>'.encode())
    result = loader.load("a.kml")
    assert loader.rows("SELECT unit FROM geo.a ORDER BY id") == [("12E4",), ("7E12",)]
    assert result["reading"]["kept_as_text"] == {"unit": "row 1: '12E4' would become 120000"}


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("name,geometry,latitude,longitude", "z{0},{1},50.5,1{0}.5"),
        ("name,geometry", "z{0},{1}"),
        ("name;Geo Point;Geo Shape", "z{0};50.5, 1{0}.5;{1}"),
        ("name,geo_point_2d,geo_shape", 'z{0},"50.5, 1{0}.5",{1}'),
        ("name,Umriss", "z{0},{1}"),
    ],
)
def test_a_column_of_geojson_is_a_column_of_shapes(loader: Loader, header: str, row: str) -> None:
    rows = [row.format(n, quoted(square(10 + 2 * n))) for n in range(3)]
    loader.put("a.csv", "\n".join((header, *rows)).encode())
    result = loader.load("a.csv")
    assert "shape" in result["reading"]["coordinates"]
    assert loader.rows("SELECT name, ST_XMin(geom), ST_Area(geom) FROM geo.a ORDER BY id") == [
        (f"z{n}", 10 + 2 * n, 1.0) for n in range(3)
    ]


def test_a_geo_point_is_latitude_and_longitude(loader: Loader) -> None:
    loader.put("a.csv", b"name;Geo Point\nx;50.5, 10.25\n")
    loader.load("a.csv")
    assert loader.rows("SELECT ST_X(geom), ST_Y(geom) FROM geo.a") == [(10.25, 50.5)]


def test_the_crs_that_geojson_of_postgis_names_is_its_crs(loader: Loader) -> None:
    point = {
        "type": "Point",
        "crs": {"type": "name", "properties": {"name": "EPSG:25832"}},
        "coordinates": [691608, 5333943],
    }
    loader.put("a.csv", f"name,geojson\nx,{quoted(json.dumps(point))}\n".encode())
    assert loader.load("a.csv")["original_crs"] == "EPSG:25832"
    assert loader.value("SELECT round(ST_X(geom)::numeric, 2)::text FROM geo.a") == "11.58"


@pytest.mark.parametrize(
    "text", ['{"type": "Polygon"}', '{"coordinates": 1}', '{"type": "Point", "coordinates": ["a", 1]}', "{"]
)
def test_geojson_that_is_none_is_a_rejected_row(loader: Loader, text: str) -> None:
    loader.put("a.csv", f"name,geometry\nx,{quoted(square(10))}\ny,{quoted(text)}\n".encode())
    result = loader.load("a.csv", max_rejected=1)
    assert result["conservation"]["reasons"] == {"coordinates_unreadable": 1}


MAY = b"lon,lat,station,value\n10.1,50.1,00501,1.5\n10.2,50.2,02134,2.5\n"
JUNE = b"lon,lat,station,value\n10.3,50.3,10115,3\n10.4,50.4,80331,4\n"


def test_text_takes_every_value_that_is_appended_as_it_is_written(loader: Loader) -> None:
    loader.put("a.csv", MAY)
    loader.load("a.csv")
    loader.put("a.csv", JUNE.replace(b"80331", b"8.50"))
    loader.load("a.csv", load_method="append")
    assert loader.rows("SELECT station, value FROM geo.a ORDER BY id") == [
        ("00501", 1.5), ("02134", 2.5), ("10115", 3.0), ("8.50", 4.0)
    ]  # fmt: skip


def test_a_column_without_values_is_appended_to_a_column_of_any_type(loader: Loader) -> None:
    loader.put("a.csv", b"lon,lat,n,day,share,name\n10,50,7,2024-01-31,0.5,x\n")
    loader.load("a.csv")
    loader.put("a.csv", b"lon,lat,n,day,share,name\n10,51,,NA,,\n10,52,,,,\n")
    loader.load("a.csv", load_method="append")
    assert loader.rows("SELECT n, day, share, name FROM geo.a WHERE id > 1") == [(None, None, None, None)] * 2


def test_a_value_that_a_table_cannot_take_is_named_with_its_row(loader: Loader) -> None:
    loader.put("a.csv", JUNE)
    loader.load("a.csv")
    loader.put("a.csv", MAY)
    expected = r"station is text in the file \(row 1: '00501'\) and integer in the table.*\(row 1: '1.5'\)"
    with pytest.raises(PermanentError, match=expected) as raised:
        loader.load("a.csv", load_method="append")
    assert raised.value.error_code == "columns_differ"


def test_integers_of_other_formats_are_appended_to_text(loader: Loader) -> None:
    def collection(code: Any) -> bytes:
        feature = {
            "type": "Feature",
            "properties": {"code": code},
            "geometry": {"type": "Point", "coordinates": [1, 2]},
        }
        return json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()

    loader.put("a.json", collection("x7"))
    loader.load("a.json")
    loader.put("a.json", collection(10115))
    loader.load("a.json", load_method="append")
    assert loader.rows("SELECT code FROM geo.a ORDER BY id") == [("x7",), ("10115",)]
