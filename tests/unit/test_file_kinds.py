"""What files are that a job type does not read, and the next step for each."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pytest

from controllers import CONTROLLERS
from controllers.engine.engine import find_controller
from controllers.engine.validation import validate
from schema.errors import InvalidRequest, NotFound, PermanentError
from schema.settings import Settings
from services.file_kinds import kind_of_bytes, kind_of_name
from services.raster.source.remote import check_magic
from services.vector.source.archive import unpack

SETTINGS = Settings(postgres_dsn="postgresql://nowhere/none")


def refusal(job_type: str, **parameters: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as raised:
        validate(CONTROLLERS[job_type], {"dataset_id": "bronze", **parameters}, SETTINGS)
    return raised.value


@pytest.mark.parametrize(
    ("name", "what", "step"),
    [
        ("a/Cities.XLSX", "an Excel workbook", "as CSV"),
        ("a.nc", "a NetCDF file", "gdal_translate -of GTiff NETCDF:a.nc:VARIABLE out.tif"),
        ("a.jp2", "a JPEG 2000 image", "gdal_translate -of GTiff a.jp2 out.tif"),
        ("a.gdb", "an Esri file geodatabase", "ogr2ogr out.gpkg a.gdb"),
        ("dem.tif", "a GeoTIFF", "process_raster"),
        ("dem.tfw", "a sidecar of a raster", "the raster itself (.tif)"),
        ("dem.tif.aux.xml", "a sidecar of a raster", "the raster itself (.tif)"),
        ("roads.dbf", "a part of a shapefile", ".shp"),
        ("a.gml", "a vector file in a format that is not read", "ogr2ogr out.gpkg a.gml"),
        ("a.tar.gz", "a compressed archive that is not .zip", ".zip"),
        ("map.qgz", "a project file", "the files that it shows"),
    ],
)
def test_process_vector_names_what_a_file_is_and_the_next_step(name: str, what: str, step: str) -> None:
    message = refusal("process_vector", resource_id=name).message
    assert f"{name} is {what}" in message
    assert step in message


def test_an_unknown_extension_is_answered_with_the_known_ones() -> None:
    assert "the extension is not supported; supported are .zip" in refusal("process_vector", resource_id="a.q").message


def test_the_longest_ending_of_a_name_says_what_it_is() -> None:
    assert [kind.what for kind in map(kind_of_name, ("x.gdb.zip", "x.shp.xml", "x.y.tif")) if kind] == [
        "an Esri file geodatabase", "a part of a shapefile", "a GeoTIFF"
    ]  # fmt: skip
    assert kind_of_name("folder.tif/name") is None


@pytest.mark.parametrize(
    ("name", "head", "what", "step"),
    [
        ("bronze/a.gpkg", b"SQLite format 3\0", "a GeoPackage", "process_vector"),
        ("bronze/a.tif", b"SQLite format 3\0", "a GeoPackage", "process_vector"),
        ("bronze/a.geojson", b' {"type": "FeatureCollection"', "JSON", "process_vector"),
        ("bronze/a.shp", b"\0\0\x27\x0a", "a shapefile", "process_vector"),
        ("bronze/a.csv", b"lon,lat\n1,2\n", "a table of text", "process_vector"),
        ("bronze/a.fgb", b"fgb\x03fgb\0", "a FlatGeobuf file", "process_vector"),
        ("bronze/a.parquet", b"PAR1", "a Parquet file", "process_vector"),
        ("bronze/a.zip", b"PK\x03\x04\x14\0\0\0", "a ZIP archive", "process_vector"),
        ("bronze/a.jp2", b"\0\0\0\x0cjP  \r\n", "a JPEG 2000 image", "gdal_translate -of GTiff a.jp2"),
        ("bronze/a.nc", b"\x89HDF\r\n", "an HDF5 or NetCDF file", "gdal_translate"),
        ("bronze/a.nc", b"CDF\x01", "a NetCDF file", "NETCDF:a.nc"),
        ("bronze/a.tfw", b"0.5\n0\n0\n-0.5\n", "a sidecar of a raster", "the raster itself"),
        ("bronze/a.tif", b"hello", "text", "gdal_translate"),
    ],
)
def test_a_raster_job_names_what_a_file_is_and_the_next_step(name: str, head: bytes, what: str, step: str) -> None:
    with pytest.raises(PermanentError, match="is not a GeoTIFF") as raised:
        check_magic(name, head)
    assert (raised.value.error_code, what in raised.value.message) == ("wrong_format", True)
    assert step in raised.value.remediation


@pytest.mark.parametrize(
    ("files", "said", "step"),
    [
        (["x.gdb/a00000001.gdbtable", "x.gdb/gdb"], "x.gdb is an Esri file geodatabase.", "ogr2ogr out.gpkg x.gdb"),
        (["a.xlsx", "readme.txt"], "a.xlsx is an Excel workbook.", "as CSV"),
        (
            ["a.tfw", "a.tif", "a.tif.aux.xml"],
            "a.tif is a GeoTIFF, with a.tfw, a.tif.aux.xml beside it.",
            "upload the raster by itself. Submit it with process_raster",
        ),
        (["a.dbf", "a.prj"], "It contains: a.dbf, a.prj.", "Zip the shapefile's .shp"),
        (["readme.md"], "It contains: readme.md.", "Zip the shapefile's .shp"),
    ],
)
def test_an_archive_without_layers_names_what_is_in_it(tmp_path: Path, files: list[str], said: str, step: str) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in files:
            archive.writestr(name, b"x")
    with pytest.raises(PermanentError) as raised:
        unpack(tmp_path / "a.zip", tmp_path)
    assert raised.value.error_code == "shapefile_missing"
    assert said in raised.value.message
    assert step in raised.value.remediation


def test_a_workbook_of_excel_is_known_by_its_bytes() -> None:
    heads = (b"PK\x03\x04\x14\0\x06\0\x08\0", b"\xd0\xcf\x11\xe0", b"name,lat")
    kinds = [kind_of_bytes(head, "a.csv") for head in heads]
    assert [kind and kind.what for kind in kinds] == ["an Excel workbook", "an Excel workbook", None]


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("proces_vector", "process_vector"), ("processVector", "process_vector"), ("process-raster", "process_raster"),
     ("cog-conversion", "cog_conversion"), ("xyz", None)],
)  # fmt: skip
def test_a_job_type_that_is_nearly_right_is_guessed(wrong: str, meant: str | None) -> None:
    with pytest.raises(NotFound) as raised:
        find_controller(CONTROLLERS, wrong)
    assert (f"Did you mean {meant!r}?" in raised.value.message) == bool(meant)
    assert "process_vector" in raised.value.remediation


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("tabel", None), ("targetTable", "target_table"), ("sourcecrs", "source_crs"), ("max_reject", "max_rejected"),
     ("longitude_colum", "longitude_column")],
)  # fmt: skip
def test_a_parameter_that_is_nearly_right_is_guessed(wrong: str, meant: str | None) -> None:
    found = refusal("process_vector", resource_id="a.csv", **{wrong: "x"}).errors
    expected = f"there is no such parameter. Did you mean {meant!r}?" if meant else "there is no such parameter"
    assert {"field": wrong, "message": expected} in found


@pytest.mark.parametrize("code", [25832, "25832", "epsg:25832", " EPSG:25832"])
def test_a_crs_is_accepted_as_a_number_too(code: object) -> None:
    for job_type, name in (("process_vector", "a.csv"), ("process_raster", "a.tif"), ("reproject_raster", "a.tif")):
        parameters = {"dataset_id": "bronze", "resource_id": name, "source_crs": code, "target_crs": code}
        checked = validate(CONTROLLERS[job_type], parameters, SETTINGS).model_dump()
        assert (checked["source_crs"], checked["target_crs"]) == ("EPSG:25832", "EPSG:25832")


@pytest.mark.parametrize("code", [True, 12, 1234567, "WGS84", "25832x", 4326.5])
def test_what_is_no_code_is_refused(code: object) -> None:
    assert [fault["field"] for fault in refusal("process_vector", resource_id="a.csv", source_crs=code).errors] == [
        "source_crs"
    ]
