"""CSV files: columns of coordinates and of shapes, the types of the others, and rows that do not fit."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
import shapely
from shapely.geometry import Point

from schema.errors import PermanentError
from tests.integration.vector.loading import Loader


@pytest.mark.parametrize("header", ["lat,lon", "Latitude,Longitude", "LAT,LNG", "y,x", "lat,long", "Northing,Easting"])
def test_coordinates_are_found_by_their_usual_names(loader: Loader, header: str) -> None:
    loader.put("a.csv", f"name,{header}\nx,48.5,11.25\n".encode())
    loader.load("a.csv")
    assert loader.rows("SELECT ST_X(geom), ST_Y(geom) FROM geo.a") == [(11.25, 48.5)]


@pytest.mark.parametrize(
    ("text", "encoding", "reading"),
    [
        ("name;lat;lon\nGröße;48,5;11,25\n", "utf-8", {"delimiter": ";", "encoding": "utf-8"}),
        ("name;lat;lon\nGröße;48,5;11,25\n", "cp1252", {"encoding": "cp1252", "decimal_comma": ["lat", "lon"]}),
        ("name,lat,lon\nGröße,48.5,11.25\n", "utf-8-sig", {"encoding": "utf-8", "encoding_from": "byte order mark"}),
        ("name,lat,lon\r\nGröße,48.5,11.25\r\n", "utf-16", {"encoding": "utf-16"}),
        ("name\tlat\tlon\nGröße\t48.5\t11.25\n", "utf-8", {"delimiter": "tab"}),
        ("name|lat|lon\nGröße|48.5|11.25\n", "utf-8", {"delimiter": "|"}),
        ('sep=;\nname;lat;lon\n"Größe";"48,5";"11,25"\n', "utf-8", {"delimiter": ";"}),
        ('name,latlon\nGröße,"48.5, 11.25"\n', "utf-8", {"coordinates": {"pair": "latlon"}}),
        ("name;location\nGröße;(48.5 11.25)\n", "utf-8", {"coordinates": {"pair": "location"}}),
        ("name;geom\nGröße;POINT (11.25 48.5)\n", "utf-8", {"coordinates": {"shape": "geom"}}),
        ("name;WKT\nGröße;SRID=4326;POINT (11.25 48.5)\n".replace("SRID=4326;P", "P"), "utf-8", {}),
        (
            f"name,wkb\nGröße,{shapely.to_wkb(Point(11.25, 48.5), hex=True)}\n",
            "utf-8",
            {"coordinates": {"shape": "wkb"}},
        ),
    ],
)
def test_a_csv_is_read_however_it_is_written(loader: Loader, text: str, encoding: str, reading: dict[str, Any]) -> None:
    loader.put("a.csv", text.encode(encoding))
    result = loader.load("a.csv")
    assert loader.rows("SELECT name, ST_X(geom), ST_Y(geom) FROM geo.a") == [("Größe", 11.25, 48.5)]
    assert reading.items() <= result["reading"].items()


def test_columns_of_coordinates_can_be_named(loader: Loader) -> None:
    loader.put("a.csv", b'p,q,shape,pos\n48.5,11.25,POINT(1 2),"3.5,4.5"\n')
    points = {"latitude_column": "p", "longitude_column": "Q"}
    for options, x in ((points, 11.25), ({"wkt_column": "shape"}, 1), (dict.fromkeys(points, "pos"), 4.5)):
        loader.load("a.csv", **options)
        assert loader.value("SELECT ST_X(geom) FROM geo.a") == x
    with pytest.raises(PermanentError, match=r"no column 'z'. The columns are: p, q, shape, pos"):
        loader.load("a.csv", wkt_column="z")


def test_a_table_without_coordinates_names_its_columns(loader: Loader) -> None:
    loader.put("a.csv", b"name,value\nx,1\n")
    with pytest.raises(PermanentError, match="The columns are: name, value") as raised:
        loader.load("a.csv")
    assert raised.value.error_code == "coordinates_missing"


def test_types_are_judged_on_the_whole_file(loader: Loader) -> None:
    lines = [f"{n},{n},{n / 2},0{n},2020-01-01,{n},12.5" for n in range(20_000)] + ["1,x,1,1,,3000000000,1"]
    loader.put("a.csv", ("lon,late,half,code,day,big,lat\n" + "\n".join(lines)).replace(",0.0,", ",0,").encode())
    loader.put(
        "a.csv", ("x,late,half,code,day,big,y\n" + "\n".join("1" + line[line.index(",") :] for line in lines)).encode()
    )
    loader.load("a.csv")
    types = dict(loader.rows("SELECT attname::text, atttypid::regtype::text FROM pg_attribute "
                             "WHERE attrelid = 'geo.a'::regclass AND attnum > 0"))  # fmt: skip
    assert {name: types[name] for name in ("late", "half", "code", "day", "big")} == {
        "late": "text", "half": "double precision", "code": "text", "day": "date", "big": "bigint"
    }  # fmt: skip
    assert loader.rows("SELECT code, day FROM geo.a WHERE id = 8") == [("07", date(2020, 1, 1))]


def test_swapped_axes_are_noticed_when_they_can_be_nothing_else(loader: Loader) -> None:
    rows = "".join(f"{-100 - n / 10},{40 + n / 10}\n" for n in range(50))
    loader.put("a.csv", f"lat,lon\n{rows}".encode())
    result = loader.load("a.csv")
    assert result["reading"]["axes_swapped"] is True
    assert loader.rows("SELECT ST_X(geom), ST_Y(geom) FROM geo.a WHERE id = 1") == [(-100, 40)]


def test_one_wrong_latitude_does_not_swap_the_axes(loader: Loader) -> None:
    rows = "".join(f"{45 + n / 10},{10 + n / 10}\n" for n in range(100))
    loader.put("a.csv", f"lat,lon\n{rows}95,10\n".encode())
    result = loader.load("a.csv")
    assert result["conservation"]["reasons"] == {"coordinates_out_of_range": 1}
    assert loader.rows("SELECT row_number, raw_row FROM geo.a__rejects") == [
        (101, {"properties": {"lat": 95, "lon": 10}, "geometry": "POINT (10 95)"})
    ]


def test_projected_coordinates_need_source_crs(loader: Loader) -> None:
    loader.put("a.csv", b"x,y\n500000,5000000\n500100,5000100\n")
    with pytest.raises(PermanentError, match="in y and x are not in degrees") as raised:
        loader.load("a.csv")
    assert raised.value.error_code == "crs_missing"
    loader.load("a.csv", source_crs="EPSG:25832")
    assert loader.value("SELECT round(ST_X(geom))::int FROM geo.a WHERE id = 1") == 9


def test_ragged_rows_are_rejected_rows_with_their_number_and_text(loader: Loader) -> None:
    lines = ["lat,lon,name", *(f"1,2,n{n}" for n in range(1, 12_001))]
    lines[5], lines[6_000], lines[12_000] = "1,2", "1,2,x,y", "only"
    loader.put("a.csv", "\n".join(lines).encode())
    result = loader.load("a.csv", chunk_size=5_000)
    assert result["conservation"]["reasons"] == {"wrong_number_of_values": 3}
    assert loader.rows("SELECT row_number, raw_row->>'text' FROM geo.a__rejects ORDER BY 1") == [
        (5, "1,2"), (6_000, "1,2,x,y"), (12_000, "only")
    ]  # fmt: skip
    assert loader.value("SELECT bool_and(name = 'n' || id) FROM geo.a") is True


def test_a_shape_that_cannot_be_read_is_a_rejected_row(loader: Loader) -> None:
    loader.put("a.csv", b"id,wkt\n1,POINT (1 2)\n2,POINT (1 b)\n3,\n")
    result = loader.load("a.csv", max_rejected=2)
    assert result["conservation"]["reasons"] == {"coordinates_unreadable": 1, "null_geometry": 1}
