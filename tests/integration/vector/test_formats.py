"""Formats as people have them: each is loaded whole, in order, with its columns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import geopandas as gpd
import pytest
from shapely.geometry import LineString, Point, Polygon, box

from schema.errors import PermanentError
from services.vector.gdal import pyogrio
from tests.fixtures.vector import BOWTIE, boxes, features, frame, geojson, geojson_lines, gpkg, shapefile, zipped
from tests.integration.vector.loading import Loader
from tests.integration.vector.writers import csv_of_shapes, document, kml, parquet, ring, written


def in_zip(name: str, write: Callable[[gpd.GeoDataFrame, Path], bytes]) -> Callable[[gpd.GeoDataFrame, Path], bytes]:
    clutter = dict.fromkeys(("__MACOSX/._x", "__MACOSX/made.shp", ".hidden.shp", "a/.DS_Store", "readme.txt"), b"x")
    return lambda data, folder: zipped({name: write(data, folder), **clutter})


WRITERS: dict[str, Callable[[gpd.GeoDataFrame, Path], bytes]] = {
    "made.gpkg": gpkg,
    "made.geojson": geojson,
    "made.json": geojson,
    "made.geojsonl": geojson_lines,
    "made.ndjson": geojson_lines,
    "made.zip": shapefile,
    "made.shp.zip": lambda data, folder: shapefile(data, folder, inside="a/b/"),
    "made.fgb": written(".fgb", SPATIAL_INDEX="NO"),
    "made.parquet": parquet,
    "made.geoparquet": lambda data, folder: parquet(data, folder, row_group_size=70),
    "made.csv": csv_of_shapes,
    "made.tsv": lambda data, folder: csv_of_shapes(data, folder, "\t"),
    "made.kml": kml,
    "made.kmz": in_zip("doc.kml", kml),
    "MADE.ZIP": in_zip("inner/made.gpkg", gpkg),
    "made_2.zip": in_zip("made.geojson", geojson),
    "made_3.zip": in_zip("made.kml", kml),
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_is_loaded_whole_and_in_order(loader: Loader, name: str) -> None:
    loader.put(name, WRITERS[name](boxes(250), loader.folder))
    result = loader.load(name, chunk_size=100, target_table="made")
    assert (result["total_features_loaded"], result["upload_chunks"], result["failed_chunks"]) == (250, 3, 0)
    assert (result["geometry_type"], result["original_crs"]) == ("Polygon", "EPSG:4326") or "parquet" in name
    rows = loader.rows("SELECT id, name, ST_XMin(geom), ST_YMin(geom) FROM geo.made ORDER BY id")
    assert rows == [(n + 1, f"feature {n + 1}", n % 100, n // 100) for n in range(250)]
    assert loader.work_tables() == []


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_accounts_for_every_row(loader: Loader, name: str) -> None:
    shapes = [box(0, 0, 1, 1), BOWTIE, None, box(2, 2, 3, 3)]
    rows = gpd.GeoDataFrame({"Größe": ["a", "b", "c", "d"]}, geometry=shapes, crs="EPSG:4326")
    loader.put(name, WRITERS[name](rows, loader.folder))
    books = loader.load(name, max_rejected=1, target_table="made")["conservation"]
    assert (books["rows_in"], books["rows_loaded"], books["rows_rejected"], books["repaired"]) == (4, 3, 1, 1)
    assert books["reasons"] == {"null_geometry": 1}
    assert books["columns_renamed"] == {"Größe": "größe"}
    assert loader.rows('SELECT id, "größe" FROM geo.made ORDER BY id') == [(1, "a"), (2, "b"), (4, "d")]
    rejected = "SELECT row_number, reason, raw_row -> 'properties' ->> 'Größe' FROM geo.made__rejects"
    assert loader.rows(rejected) == [(3, "null_geometry", "c")]


def test_a_null_geometry_in_a_flatgeobuf_leaves_the_others_where_they_are(loader: Loader) -> None:
    shapes = [Point(1, 1), Point(2, 2), None, Point(4, 4), Point(5, 5)]
    loader.put("a.fgb", written(".fgb", SPATIAL_INDEX="NO")(frame(shapes), loader.folder))
    loader.load("a.fgb", max_rejected=1)
    rows = loader.rows("SELECT id, ST_X(geom)::int FROM geo.a ORDER BY id")
    assert rows == [(1, 1), (2, 2), (4, 4), (5, 5)]


def test_a_flatgeobuf_with_an_index_is_loaded_in_the_order_of_the_file(loader: Loader) -> None:
    loader.put("a.fgb", written(".fgb")(boxes(250), loader.folder))
    assert loader.load("a.fgb", chunk_size=100)["total_features_loaded"] == 250
    assert loader.value("SELECT count(DISTINCT name) FROM geo.a") == 250


# Layers


def test_a_layer_of_a_geopackage_is_chosen_by_its_name(loader: Loader) -> None:
    gpkg(boxes(2), loader.folder, layer="roads")
    path = loader.folder / "made.gpkg"
    pyogrio.write_dataframe(boxes(4), path, layer="trees", append=True)
    loader.put("a.gpkg", path.read_bytes())
    with pytest.raises(PermanentError, match="2 layers: roads, trees"):
        loader.load("a.gpkg")
    assert loader.load("a.gpkg", layer="trees")["total_features_loaded"] == 4


def test_every_layer_can_be_loaded_into_a_table_of_its_own(loader: Loader) -> None:
    gpkg(boxes(250), loader.folder, layer="Roads & paths")
    path = loader.folder / "made.gpkg"
    pyogrio.write_dataframe(frame([Point(1, 1), None], "EPSG:4326"), path, layer="rejects", append=True)
    loader.put("a.gpkg", path.read_bytes())
    result = loader.load("a.gpkg", layer="*", chunk_size=100, max_rejected=1)
    assert [table["table"] for table in result["tables"]] == ["geo.a__rejects_2", "geo.a__roads_paths"]
    assert (result["total_features_loaded"], result["upload_chunks"]) == (251, 4)
    assert loader.value("SELECT count(*) FROM geo.a__roads_paths") == 250
    assert loader.rows("SELECT row_number FROM geo.a__rejects_2__rejects") == [(2,)]
    assert loader.work_tables() == []
    found = loader.load("a.gpkg", layer="*", dry_run=True)
    assert [table["table"] for table in found["tables"]] == ["geo.a__roads_paths", "geo.a__rejects_2"]


def test_one_layer_that_cannot_be_loaded_leaves_all_tables_as_they_were(loader: Loader) -> None:
    gpkg(boxes(3), loader.folder, layer="good")
    path = loader.folder / "made.gpkg"
    pyogrio.write_dataframe(frame([Point(1, 1), None], "EPSG:4326"), path, layer="bad", append=True)
    loader.put("a.gpkg", path.read_bytes())
    with pytest.raises(PermanentError, match="1 null_geometry"):
        loader.load("a.gpkg", layer="*")
    assert loader.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'geo'") == []


# GeoJSON


@pytest.mark.parametrize(
    ("data", "count"),
    [
        ({"type": "Point", "coordinates": [1, 2]}, 1),
        ({"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"a": 1}}, 1),
        ({"type": "GeometryCollection", "geometries": [{"type": "Point", "coordinates": [1, 2]}]}, 1),
    ],
)
def test_a_bare_geometry_and_a_bare_feature_are_loaded(loader: Loader, data: Any, count: int) -> None:
    loader.put("a.geojson", json.dumps(data).encode())
    assert loader.load("a.geojson")["total_features_loaded"] == count


@pytest.mark.parametrize("first", [True, False])
def test_a_crs_member_is_honoured_wherever_it_stands(loader: Loader, first: bool) -> None:
    crs = {"crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::25832"}}}
    data = json.loads(features((Point(500_000, 5_000_000), {})))
    data = {**crs, **data} if first else {**data, **crs}
    loader.put("a.geojson", json.dumps(data).encode())
    assert loader.load("a.geojson")["original_crs"] == "EPSG:25832"
    assert loader.value("SELECT round(ST_X(geom))::int FROM geo.a") == 9


# KML


def test_folders_and_data_of_a_kml_become_columns(loader: Loader) -> None:
    marks = """
    <Schema name="s" id="s"><SimpleField type="int" name="lanes"/></Schema>
    <Folder><name>roads</name>
      <Folder><name>small</name>
        <Placemark><name>a</name><description><![CDATA[<!DOCTYPE html> text]]></description>
          <ExtendedData><SchemaData schemaUrl="#s"><SimpleData name="lanes">2</SimpleData></SchemaData></ExtendedData>
          <LineString><coordinates>1,2,9 3,4,9</coordinates></LineString></Placemark>
      </Folder>
      <Placemark><name>b</name>
        <ExtendedData><Data name="surface"><displayName>x</displayName><value>gravel</value></Data></ExtendedData>
        <MultiGeometry><LineString><coordinates>1, 2 3, 4</coordinates></LineString>
        <LineString><coordinates>5,6 7,8</coordinates></LineString></MultiGeometry></Placemark>
    </Folder>
    <Placemark><name>c</name><LineString><coordinates>0,0 1,1</coordinates></LineString></Placemark>"""
    loader.put("a.kml", document(marks))
    result = loader.load("a.kml")
    rows = loader.rows("SELECT layer, name, lanes, surface, description FROM geo.a ORDER BY id")
    assert rows == [
        ("roads/small", "a", 2, None, "<!DOCTYPE html> text"),
        ("roads", "b", None, "gravel", None),
        ("", "c", None, None, None),
    ]
    assert result["reading"]["folders"] == ["roads/small", "roads", ""]
    assert result["geometry_type"] == "MultiLineString"
    assert loader.load("a.kml", layer="roads")["total_features_loaded"] == 1
    with pytest.raises(PermanentError, match="no folder 'x'"):
        loader.load("a.kml", layer="x")


def test_a_placemark_whose_coordinates_cannot_be_read_is_a_rejected_row(loader: Loader) -> None:
    marks = "<Placemark><Point><coordinates>{}</coordinates></Point></Placemark>"
    loader.put("a.kml", document("".join(marks.format(text) for text in ("1,2", "east,2", "", "3,4,5"))))
    result = loader.load("a.kml", max_rejected=2)
    assert result["conservation"]["z_m_removed"] == 1
    assert result["conservation"]["reasons"] == {"coordinates_unreadable": 1, "null_geometry": 1}
    assert "east,2" in loader.value("SELECT raw_row ->> 'text' FROM geo.a__rejects WHERE row_number = 2")


def track(*coords: str) -> str:
    whens = "".join(f"<when>2024-05-0{day}T10:00:00Z</when>" for day in range(1, len(coords) + 1))
    return f"<gx:Track>{whens}{''.join(f'<gx:coord>{coord}</gx:coord>' for coord in coords)}</gx:Track>"


def tracks(*marks: str) -> bytes:
    head = '<kml xmlns="http://www.opengis.net/kml/2.2" xmlns:gx="http://www.google.com/kml/ext/2.2"><Document>'
    inside = "".join(f"<Placemark><name>{number}</name>{mark}</Placemark>" for number, mark in enumerate(marks, 1))
    return f"{head}{inside}</Document></kml>".encode()


def test_a_track_is_the_line_of_its_coordinates_with_its_times(loader: Loader) -> None:
    speed = "<gx:SimpleArrayData name='speed'><gx:value>3</gx:value><gx:value>4</gx:value></gx:SimpleArrayData>"
    data = f"<ExtendedData><SchemaData schemaUrl='#s'>{speed}</SchemaData></ExtendedData></gx:Track>"
    walk = track("1 2 9", "", "3 4 9", "5 4 9").replace("</gx:Track>", data)
    both = f"<gx:MultiTrack>{track('1 2', '3 4')}{track('5 6', '7 8')}</gx:MultiTrack>"
    loader.put("a.kml", tracks(walk, both))
    result = loader.load("a.kml")
    assert (result["geometry_type"], result["conservation"]["z_m_removed"]) == ("MultiLineString", 1)
    assert loader.rows('SELECT ST_AsText(geom), speed, begin::text, "end"::text FROM geo.a ORDER BY id') == [
        ("MULTILINESTRING((1 2,3 4,5 4))", '["3", "4"]', "2024-05-01 10:00:00+00", "2024-05-04 10:00:00+00"),
        ("MULTILINESTRING((1 2,3 4),(5 6,7 8))", None, "2024-05-01 10:00:00+00", "2024-05-02 10:00:00+00"),
    ]


def test_a_track_that_is_no_line_is_a_rejected_row_with_its_coordinates(loader: Loader) -> None:
    loader.put("a.kml", tracks(track("1 2", "3 4"), track("1.5 2"), track("", ""), track("here", "3 4")))
    result = loader.load("a.kml", max_rejected=3)
    assert result["conservation"]["rows_in"] == 4
    rows = loader.rows("SELECT row_number, reason FROM geo.a__rejects ORDER BY row_number")
    assert rows == [(2, "line_of_one_point"), (3, "null_geometry"), (4, "coordinates_unreadable")]
    assert "1.5 2" in loader.value("SELECT raw_row ->> 'text' FROM geo.a__rejects WHERE row_number = 2")


def test_what_a_kml_links_to_is_named_in_a_warning_and_ids_of_placemarks_are_a_column(loader: Loader) -> None:
    link = "<NetworkLink><Link><href>https://example.org/more.kml</href></Link></NetworkLink>"
    mark = "<Placemark id='p7'><name>a</name><Point><coordinates>1,2</coordinates></Point></Placemark>"
    loader.put("a.kml", document(link + mark))
    warnings = loader.warnings("a.kml")
    assert "https://example.org/more.kml" in warnings["links_not_followed"]["message"]
    assert "'id' is source_id" in warnings["own_columns_renamed"]["message"]
    assert loader.rows("SELECT source_id, name FROM geo.a") == [("p7", "a")]


@pytest.mark.parametrize("corners", ["", "1,1", "1,1 2,2"])
def test_a_kml_hole_without_area_leaves_its_polygon(loader: Loader, corners: str) -> None:
    mark = ring(box(0, 0, 10, 10)).replace(
        "</Polygon>",
        f"<innerBoundaryIs><LinearRing><coordinates>{corners}</coordinates></LinearRing></innerBoundaryIs></Polygon>",
    )
    loader.put("a.kml", document(f"<Placemark>{mark}</Placemark>"))
    result = loader.load("a.kml")
    assert result["conservation"]["repaired"] == (1 if corners else 0)
    assert loader.value("SELECT ST_Area(geom) FROM geo.a") == 100


# Coordinate operations


def test_places_that_no_operation_is_made_for_are_counted(loader: Loader) -> None:
    places = frame([Point(-149.9, 61.2), Point(-98.5, 39), Point(-40, 10)], "EPSG:4267")
    loader.put("a.gpkg", gpkg(places, loader.folder))
    assert "outside_operation_area" in loader.warnings("a.gpkg")
    result = loader.load("a.gpkg")
    assert result["conservation"]["outside_operation_area"] == 1
    elsewhere = result["operation"]["elsewhere"]
    assert any("NAD27 to WGS 84" in description for description in elsewhere)


# Longitudes


def test_longitudes_beyond_180_are_wrapped_and_polygons_are_cut_and_both_are_counted(loader: Loader) -> None:
    over = Polygon([(177, -20), (-178, -20), (-178, -15), (177, -15)])
    loader.put(
        "a.geojson", features((box(170, 0, 190, 5), {}), (box(200, 0, 210, 5), {}), (over, {}), (box(0, 0, 1, 1), {}))
    )
    result = loader.load("a.geojson")
    assert (result["conservation"]["antimeridian_cut"], result["conservation"]["longitudes_wrapped"]) == (2, 1)
    assert result["geometry_type"] == "MultiPolygon"
    assert loader.rows("SELECT ST_XMin(geom), ST_XMax(geom), ST_Area(geom)::int FROM geo.a ORDER BY id") == [
        (-180, 180, 100), (-160, -150, 50), (-180, 180, 25), (0, 1, 1)
    ]  # fmt: skip


def test_points_from_0_to_360_are_wrapped(loader: Loader) -> None:
    loader.put("a.csv", b"lat,lon\n1,190\n2,10\n3,359\n")
    result = loader.load("a.csv")
    assert result["conservation"]["longitudes_wrapped"] == 2
    assert loader.rows("SELECT ST_X(geom) FROM geo.a ORDER BY id") == [(-170,), (10,), (-1,)]


def test_a_line_over_the_antimeridian_is_cut(loader: Loader) -> None:
    loader.put("a.geojson", features((LineString([(170, 0), (190, 0)]), {})))
    assert loader.load("a.geojson")["geometry_type"] == "MultiLineString"


def test_a_line_of_a_crs_over_the_antimeridian_is_cut_where_it_jumps(loader: Loader) -> None:
    loader.put(
        "a.gpkg",
        gpkg(frame([LineString([(1_900_000, 3_900_000), (2_300_000, 3_900_000)])], "EPSG:3460"), loader.folder),
    )
    result = loader.load("a.gpkg")
    assert (result["geometry_type"], result["conservation"]["antimeridian_cut"]) == ("MultiLineString", 1)
    assert loader.value("SELECT ST_Length(geom) FROM geo.a") < 5
