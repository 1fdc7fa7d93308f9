"""Files of every format that cannot be loaded: the error names what is wrong and what to do, and nothing is left."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shapely.geometry import LineString, Point

from schema.errors import PermanentError
from tests.fixtures.vector import boxes, frame, geojson_lines, gpkg, zipped
from tests.integration.vector.loading import Loader
from tests.integration.vector.refusals import VRT, fails
from tests.integration.vector.writers import csv_of_shapes, document, kml, parquet, written

BOMB = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
EVERY = (
    "a.zip", "a.shp", "a.gpkg", "a.geojson", "a.json", "a.geojsonl", "a.ndjson", "a.kml", "a.kmz", "a.csv", "a.tsv",
    "a.fgb", "a.parquet", "a.geoparquet",
)  # fmt: skip


def put_siblings(loader: Loader) -> None:
    for suffix in (".shx", ".dbf"):
        loader.put(f"a{suffix}", b"x")


@pytest.mark.parametrize("name", EVERY)
def test_a_file_of_zero_bytes(loader: Loader, name: str) -> None:
    put_siblings(loader)
    fails(loader, name, b"", "file_empty", name)


@pytest.mark.parametrize("name", [name for name in EVERY if name != "a.kml"])
def test_a_vrt_under_another_name_is_never_opened(loader: Loader, name: str) -> None:
    put_siblings(loader)
    fails(loader, name, VRT, "wrong_format", name)


@pytest.mark.parametrize(
    "data",
    [
        {"type": "gdal_streamed_alg", "command_line": "gdal vector pipeline ! read /etc/passwd ! write - "},
        {"type": "Topology", "objects": {"a": {"type": "Point", "coordinates": [1, 2]}}, "arcs": []},
        {"geometryType": "esriGeometryPoint", "features": [{"geometry": {"x": 1, "y": 2}, "attributes": {}}]},
    ],
    ids=["a pipeline of GDAL", "TopoJSON", "Esri JSON"],
)
def test_json_that_another_driver_of_gdal_would_open(loader: Loader, data: object) -> None:
    fails(loader, "a.geojson", json.dumps(data).encode(), "source_unreadable", "not GeoJSON")


def test_xml_that_is_no_kml(loader: Loader) -> None:
    fails(loader, "a.kml", VRT, "wrong_format", "not KML")


def test_a_geopackage_with_the_extension_of_another_format(loader: Loader) -> None:
    data = gpkg(boxes(2), loader.folder)
    for name in ("a.fgb", "a.csv", "a.parquet", "a.geojson"):
        fails(loader, name, data, "wrong_format", name)


# Archives


def test_a_zip_with_200000_entries(loader: Loader) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(200_000):
            archive.writestr(zipfile.ZipInfo(f"{number}.txt"), b"")
    fails(loader, "a.zip", buffer.getvalue(), "archive_refused", "entries; 10000 are allowed")


@pytest.mark.parametrize("name", ["inner.zip", "x/inner.KMZ", "a.tar.gz", "a.7z"])
def test_an_archive_in_an_archive(loader: Loader, name: str) -> None:
    data = zipped({"a.geojson": b"{}", name: zipped({"b.shp": b"x"})})
    fails(loader, "a.zip", data, "archive_refused", f"'{name}' is an archive.")


def test_an_encrypted_entry(loader: Loader) -> None:
    data = bytearray(zipped({"a.geojson": b"{}"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    fails(loader, "a.zip", bytes(data), "archive_refused", "'a.geojson' is encrypted")


def test_a_file_in_an_archive_that_is_not_what_its_extension_says(loader: Loader) -> None:
    fails(loader, "a.zip", zipped({"x/b.gpkg": VRT}), "wrong_format", "x/b.gpkg")


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("x/b.geojsonl", b'{"type": "Feature", "properties": {}, "geometry": null}\n{"type": \n', "source_unreadable"),
        ("x/b.geojson", b'{"type": "FeatureCollection", "features": [{"type": "Feature", "prop', "source_unreadable"),
        ("x/b.geojson", b'{"type": "FeatureCollection", "features": []}', "layer_empty"),
        ("x/b.kml", document("<Placemark><Point>"), "source_unreadable"),
        ("x/b.kml", document("<Folder/>"), "layer_empty"),
        ("x/b.csv", b"a,b\n1,2\n", "coordinates_missing"),
        ("x/b.csv", b"lat,lon\n1,2\n3\n", "too_many_rejected"),
        ("x/b.tsv", b"lat\tlon\n1\t\xff\xfe\n\xc3\xa4\t1\n", "encoding_invalid"),
        ("x/b.fgb", b"fgb\x03fgb\x01" + bytes(100), "no_layer"),
        ("x/b.parquet", b"PAR1" + bytes(100) + b"PAR1", "source_unreadable"),
        ("x/b.gpkg", b"SQLite format 3\x00" + bytes(2000), "source_unreadable"),
    ],
)
@pytest.mark.filterwarnings("ignore:GPKG. bad application_id")
def test_what_is_wrong_with_a_file_in_an_archive_names_the_file(
    loader: Loader, name: str, data: bytes, code: str
) -> None:
    fails(loader, "a.zip", zipped({name: data}), code, name)


def test_what_is_wrong_with_the_document_of_a_kmz_names_it(loader: Loader) -> None:
    fails(
        loader, "a.kmz", zipped({"doc.kml": document("<Placemark><Point>")}), "source_unreadable", "doc.kml", "line 1"
    )


def test_a_layer_among_several_that_cannot_be_loaded_is_named(loader: Loader) -> None:
    path = loader.folder / "two.gpkg"
    frame([Point(1, 1)]).to_file(path, layer="good", driver="GPKG")
    frame([Point(1, 1), LineString([(0, 0), (1, 1)])]).to_file(path, layer="mixed", driver="GPKG")
    loader.put("a.zip", zipped({"x/two.gpkg": path.read_bytes()}))
    with pytest.raises(PermanentError, match=r"^x/two.gpkg: Layer 'mixed': The layer mixes"):
        loader.load("a.zip", layer="*")


def test_names_that_are_very_long_do_not_make_the_error_long(loader: Loader) -> None:
    for name, data in {
        "a.zip": zipped({f"{'x' * 60_000}{n}.txt": b"x" for n in range(20)}),
        "a.csv": ",".join(f"{'x' * 2_000}{n}" for n in range(500)).encode() + b"\n" + b"1," * 499 + b"1\n",
        "a.kml": document(f"<Folder><name>{'x' * 100_000}</name><Placemark/></Folder>"),
    }.items():
        loader.put(name, data)
        with pytest.raises(PermanentError) as caught:
            loader.load(name, layer=None if name == "a.zip" else "nowhere")
        assert 0 < len(caught.value.info().message) < 6_000


def test_a_kmz_without_a_document(loader: Loader) -> None:
    fails(loader, "a.kmz", zipped({"files/icon.png": b"x"}), "layer_missing", "no KML document")


def test_a_kmz_that_is_a_bomb(loader: Loader) -> None:
    fails(loader, "a.kmz", zipped({"doc.kml": bytes(300 * 2**20)}), "archive_refused", "would unpack from")


# KML


@pytest.mark.parametrize(
    "data",
    [
        document("<Placemark><name>&b;</name></Placemark>", BOMB),
        b"\xef\xbb\xbf" + document("", f'<?xml version="1.0"?>\n<!-- x --> {BOMB}'),
        document("", '<!DOCTYPE kml SYSTEM "file:///etc/passwd">'),
        document("").decode().encode("utf-16"),
        document("", '<?xml version="1.0" encoding="UTF-7"?>'),
        document("<Folder>" * 500 + "</Folder>" * 500),
    ],
)
def test_xml_that_attacks_its_parser(loader: Loader, data: bytes) -> None:
    code = "wrong_format" if data[:1] in b"\xff\xfe" else "xml_refused"
    fails(loader, "a.kml", data, code)
    fails(loader, "a.kmz", zipped({"doc.kml": data}), code)


def test_a_truncated_kml(loader: Loader) -> None:
    data = kml(boxes(5_000), loader.folder)
    fails(loader, "a.kml", data[: len(data) // 2], "source_unreadable", "at line 1")


def test_a_kml_without_placemarks(loader: Loader) -> None:
    fails(loader, "a.kml", document("<Folder><name>x</name></Folder>"), "layer_empty")


# Delimited text


def test_text_that_is_not_valid_utf8(loader: Loader) -> None:
    data = "lat,lon,name\n1,2,Größe\n".encode() + b"3,4,\xff\xfe\n"
    fails(loader, "a.csv", data, "encoding_invalid", "Line 3")


@pytest.mark.parametrize("data", [b"lat,lon\n1,2\n3,\x004\n", b"\nlat,lon\n1,2\n".decode().encode("utf-16-le")])
def test_text_with_nul_bytes(loader: Loader, data: bytes) -> None:
    fails(loader, "a.csv", data, "wrong_format", "NUL byte in line")


def test_shapes_of_several_crs_in_one_column(loader: Loader) -> None:
    near, far = "SRID=4326;POINT(7 50)", "SRID=25832;POINT(500000 5500000)"
    for rows in ([near, far], [near] * 300 + [far], ["POINT(7 50)"] * 300 + [far]):
        data = "wkt\n" + "".join(f'"{row}"\n' for row in rows)
        fails(loader, "a.csv", data.encode(), "several_crs", "column 'wkt'", "EPSG:4326, EPSG:25832")


def test_a_quotation_mark_that_is_never_closed(loader: Loader) -> None:
    rows = "".join(f"{n % 90},2,x\n" for n in range(50))
    fails(loader, "a.csv", f'lat,lon,name\n1,2,"x\n{rows}'.encode(), "quote_not_closed", "row 1 ")


@pytest.mark.parametrize("data", [b"lat,lon\n", b"lat,lon"])
def test_a_table_without_rows(loader: Loader, data: bytes) -> None:
    fails(loader, "a.csv", data, "layer_empty")


def test_a_table_of_nothing_but_ragged_rows(loader: Loader) -> None:
    fails(loader, "a.csv", b"lat,lon,name\n1,2\n3\n", "too_many_rejected", "2 wrong_number_of_values")


# FlatGeobuf, GeoParquet, GeoJSON lines


@pytest.mark.parametrize("name", ["a.fgb", "a.parquet", "a.geojsonl"])
def test_a_truncated_file(loader: Loader, name: str) -> None:
    write = {"a.fgb": written(".fgb"), "a.parquet": parquet, "a.geojsonl": geojson_lines}
    data = write[name](boxes(3_000), loader.folder)
    fails(loader, name, data[: len(data) // 2], "source_unreadable")


@pytest.mark.parametrize("index", ["YES", "NO"])
def test_a_flatgeobuf_that_ends_after_a_whole_feature(loader: Loader, index: str) -> None:
    data = written(".fgb", SPATIAL_INDEX=index)(boxes(300), loader.folder)
    # Each feature is preceded by its length: the last one by the number that leads to the end.
    places = range(len(data) - 100, 0, -1)
    start = next(at for at in places if at + 4 + int.from_bytes(data[at : at + 4], "little") == len(data))
    fails(loader, "a.fgb", data[:start], "source_unreadable", "300 features, but only 299")


def test_a_parquet_file_without_geo_metadata(loader: Loader, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1], "geom": [b"x"]}), tmp_path / "a.parquet")
    fails(loader, "a.parquet", (tmp_path / "a.parquet").read_bytes(), "geo_metadata_missing", "a, geom")


@pytest.mark.parametrize(
    "geo",
    [
        {"primary_column": "missing", "columns": {}},
        {"primary_column": "geom", "columns": {"geom": {"encoding": "TWKB"}}},
        {"primary_column": "geom", "columns": {"geom": {"encoding": "WKB", "crs": {"type": "nonsense"}}}},
        [],
        "[" * 50_000,
    ],
)
def test_a_parquet_file_with_wrong_geo_metadata(loader: Loader, tmp_path: Path, geo: object) -> None:
    text = geo if isinstance(geo, str) else json.dumps(geo)
    table = pa.table({"geom": pa.array([b"x"])}).replace_schema_metadata({"geo": text})
    pq.write_table(table, tmp_path / "a.parquet")
    fails(loader, "a.parquet", (tmp_path / "a.parquet").read_bytes(), "geo_metadata_invalid")


def test_a_layer_that_is_not_there(loader: Loader) -> None:
    loader.put("a.csv", csv_of_shapes(boxes(2), loader.folder))
    with pytest.raises(Exception, match=r"no layer 'b'\. It has one layer: a"):
        loader.load("a.csv", layer="b")
