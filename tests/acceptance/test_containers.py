"""Containers over HTTP: listed, synced into the catalogue and found there; files catalogued one by one; bad input."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import geopandas
import numpy as np
import pystac_client
import pytest
import rasterio
from azure.storage.blob import BlobServiceClient, ContainerClient
from rasterio.transform import from_origin
from shapely.geometry import box

from local.stack import Stack
from tests.acceptance.client import Api, Json, problem_of
from tests.fixtures import plain_gdal

CONTAINER = "mixed"
POINTS = b"name,latitude,longitude\nBonn,50.73,7.1\nAachen,50.78,6.08\n"
KML = (
    b'<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><Placemark><name>p</name>'
    b"<Point><coordinates>7.5,51.5</coordinates></Point></Placemark></Document></kml>"
)


def write_raster(path: Path, driver: str = "GTiff", crs: str | None = "EPSG:32632") -> bytes:
    pixels = np.arange(64 * 64, dtype=np.uint16).reshape(1, 64, 64)
    place = from_origin(400_000, 5_700_000, 100, 100)
    shape = {"width": 64, "height": 64, "count": 1, "dtype": "uint16"}
    with rasterio.open(path, "w", driver, crs=crs, transform=place, **shape) as file:
        file.write(pixels)
    return path.read_bytes()


def write_vectors(folder: Path) -> dict[str, bytes]:
    """Write the same squares in every format that GeoPandas writes."""
    squares = geopandas.GeoDataFrame(
        {"name": ["a", "b"]}, geometry=[box(7, 51, 7.1, 51.1), box(7.2, 51.2, 7.3, 51.3)], crs="EPSG:4326"
    )
    made = {"gpkg": "GPKG", "geojson": "GeoJSON", "geojsonl": "GeoJSONSeq", "fgb": "FlatGeobuf"}
    for extension, driver in made.items():
        plain_gdal.write(squares, folder / f"squares.{extension}", driver=driver)
    squares.to_parquet(folder / "squares.parquet")
    squares.to_file(folder / "lone.shp", driver="ESRI Shapefile")
    return {f"vectors/{path.name}": path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def container(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerClient]:
    """A container with a file of every format, and some that cannot be read."""
    folder = tmp_path_factory.mktemp("vectors")
    made = tmp_path_factory.mktemp("rasters") / "made.tif"
    files = {
        **write_vectors(folder),
        "vectors/places.csv": POINTS,
        "vectors/place.kml": KML,
        "rasters/plain 1.tif": write_raster(made),
        "rasters/cog.tif": write_raster(made, "COG"),
        "bad/nocrs.tif": write_raster(made, crs=None),
        "bad/broken.tif": b"II*\0 and nothing else",
        "bad/object.json": b'{"a": 1}',
        "readme.txt": b"Files for tests.",
    }
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        client = service.create_container(CONTAINER)
        for name, data in files.items():
            client.upload_blob(name, data)
        yield client


def completed(api: Api, job_type: str, resource_id: str | None = None, **more: object) -> Json:
    """The result of a job on the container that completes."""
    named = {} if resource_id is None else {"resource_id": resource_id}
    job = api.run(job_type, {"dataset_id": CONTAINER, **named, **more})
    assert job["status"] == "completed", job["error"]
    result: Json = job["result_data"]
    return result


def test_a_container_is_listed(api: Api, container: ContainerClient) -> None:
    result = completed(api, "list_container")
    names = {blob.name for blob in container.list_blobs()}
    assert {file["name"] for file in result["files"]} == names
    assert result["summary"]["total_files"] == len(names)
    kinds = {file["name"]: file["kind"] for file in result["files"]}
    assert (kinds["rasters/cog.tif"], kinds["vectors/lone.dbf"], kinds["readme.txt"]) == ("raster", "sidecar", "other")
    tifs = completed(api, "list_container", prefix="rasters/", suffix=".TIF", limit=1)
    assert [file["name"] for file in tifs["files"]] == ["rasters/cog.tif"]


def test_pystac_client_sees_what_sync_container_wrote(
    api: Api, container: ContainerClient, catalogue: pystac_client.Client
) -> None:
    result = completed(api, "sync_container", collection_id="synced")
    assert {entry["name"] for entry in result["failed_files"]} == {
        "bad/nocrs.tif", "bad/broken.tif", "bad/object.json"
    }  # fmt: skip
    items = list(catalogue.search(collections=["synced"]).items())
    readable = {"tif", "gpkg", "geojson", "geojsonl", "fgb", "parquet", "shp", "csv", "kml"}
    listed = [blob.name for blob in container.list_blobs() if not blob.name.startswith("bad/")]
    expected = {name for name in listed if name.rpartition(".")[2] in readable}
    assert {item.properties["geostage:blob"] for item in items} == expected
    assert all(item.validate() for item in items if not item.stac_extensions)
    nearby = catalogue.search(collections=["synced"], bbox=[7.05, 51.05, 7.06, 51.06]).items()
    assert {item.properties["geostage:kind"] for item in nearby} == {"vector"}
    rasters = catalogue.search(collections=["synced"], bbox=[7.5, 51.4, 7.6, 51.45]).items()
    found = {item.properties["geostage:blob"]: item for item in rasters if item.properties["geostage:kind"] == "raster"}
    assert set(found) == {"rasters/plain 1.tif", "rasters/cog.tif"}
    assert "cloud-optimized" in str(found["rasters/cog.tif"].assets["data"].media_type)
    assert "cloud-optimized" not in str(found["rasters/plain 1.tif"].assets["data"].media_type)
    collection = catalogue.get_collection("synced")
    assert collection
    west, south, east, north = collection.extent.spatial.bboxes[0]
    assert (west, south) == pytest.approx((6.08, 50.73), abs=0.01)
    assert (east, north) == pytest.approx((7.64, 51.5), abs=0.1)


def test_syncing_twice_changes_nothing_and_follows_what_happens(
    api: Api, container: ContainerClient, catalogue: pystac_client.Client
) -> None:
    container.upload_blob("moving/a.csv", POINTS)
    container.upload_blob("moving/b.csv", POINTS)
    given = {"resource_id": "moving/", "collection_id": "moving"}
    assert completed(api, "sync_container", **given)["summary"]["catalogued"] == 2
    assert completed(api, "sync_container", **given)["summary"]["unchanged"] == 2
    container.upload_blob("moving/a.csv", POINTS.replace(b"7.1", b"8.1"), overwrite=True)
    container.delete_blob("moving/b.csv")
    third = completed(api, "sync_container", **given, remove_missing=True)
    assert [third["summary"][name] for name in ("changed", "missing", "removed")] == [1, 1, 1]
    (item,) = catalogue.search(collections=["moving"]).items()
    assert item.bbox
    assert item.bbox[2] == pytest.approx(8.1, abs=1e-5)
    container.delete_blob("moving/a.csv")


def test_a_raster_is_catalogued_as_thoroughly_as_it_is_asked_for(api: Api, container: ContainerClient) -> None:
    del container
    results = {
        form: completed(api, form, "rasters/plain 1.tif", collection_id=form.replace("_", "-"))
        for form in ("stac_item_quick", "catalog_file", "stac_item_smart", "stac_item_full")
    }
    details = {form: result["detail"] for form, result in results.items()}
    assert details == {
        "stac_item_quick": "quick", "catalog_file": "header", "stac_item_smart": "full", "stac_item_full": "full"
    }  # fmt: skip
    assert results["stac_item_quick"]["item"]["geometry"] is None
    header = results["catalog_file"]["item"]["assets"]["data"]
    full = results["stac_item_full"]["item"]["assets"]["data"]
    assert "statistics" not in header["bands"][0]
    assert full["bands"][0]["statistics"]["maximum"] == 4095
    assert full["file:checksum"].startswith("1220")
    assert len({result["stac_id"] for result in results.values()}) == 1


@pytest.mark.parametrize(
    "name", ["squares.gpkg", "squares.geojson", "squares.geojsonl", "squares.fgb", "squares.parquet", "lone.shp"]
)
def test_every_vector_format_is_catalogued(api: Api, container: ContainerClient, name: str) -> None:
    del container
    item = completed(api, "stac_item_full", f"vectors/{name}")["item"]
    assert item["bbox"] == pytest.approx([7, 51, 7.3, 51.3])
    properties = item["properties"]
    assert (properties["table:row_count"], properties["proj:code"]) == (2, "EPSG:4326")
    assert {"name": "name", "type": "string"} in [
        {**column, "type": column["type"].removeprefix("large_")} for column in properties["table:columns"]
    ]
    assert item["assets"]["data"]["file:checksum"].startswith("1220")


def test_a_quick_item_is_in_the_catalogue_though_nobody_knows_its_place(
    api: Api, container: ContainerClient, catalogue: pystac_client.Client
) -> None:
    del container
    result = completed(api, "stac_item_quick", "vectors/place.kml", collection_id="hurried")
    (item,) = catalogue.search(collections=["hurried"]).items()
    assert item.id == result["stac_id"]
    assert not list(catalogue.search(collections=["hurried"], bbox=[-180, -90, 180, 90]).items())


def test_metadata_are_extracted_and_nothing_is_written(api: Api, container: ContainerClient) -> None:
    del container
    raster = completed(api, "extract_metadata", "rasters/cog.tif", collection_id="nowhere")
    assert raster["raster"]["crs"] == "EPSG:32632"
    assert raster["raster"]["cog_layout"] is True
    assert raster["place"]["bbox"][0] == pytest.approx(7.55, abs=0.02)
    assert raster["catalogue"]["catalogued"] is False
    vector = completed(api, "extract_metadata", "vectors/squares.gpkg")
    (layer,) = vector["vector"]["layers"]
    assert (layer["row_count"], layer["geometry_types"], layer["crs"]) == (2, {"Polygon": 2}, "EPSG:4326")
    unplaced = completed(api, "extract_metadata", "bad/nocrs.tif")
    assert unplaced["raster"]["width"] == 64
    assert (unplaced["place"]["known"], unplaced["place"]["code"]) == (False, "crs_missing")


def test_a_raster_is_reprojected(api: Api, container: ContainerClient) -> None:
    del container
    result = completed(api, "reproject_raster", "rasters/plain 1.tif", target_crs="EPSG:3857")
    assert (result["report"]["before"]["crs"], result["report"]["after"]["crs"]) == ("EPSG:32632", "EPSG:3857")
    assert result["cog_path"] == f"silver/{CONTAINER}/rasters/plain 1/v1.tif"


def test_the_schema_is_set_up_however_often(api: Api) -> None:
    ids = [api.submit("setup_stac_geo_schema", {"version_id": str(number)}) for number in range(2)]
    for job_id in ids:
        job = api.follow(job_id)
        assert (job["status"], job["result_data"]["status"]) == ("completed", "up_to_date")


@pytest.mark.parametrize(
    ("job_type", "resource_id", "code"),
    [
        ("catalog_file", "bad/nocrs.tif", "crs_missing"),
        ("stac_item_smart", "bad/broken.tif", "raster_unreadable"),
        ("stac_item_full", "bad/object.json", "source_unreadable"),
        ("extract_metadata", "bad/broken.tif", "raster_unreadable"),
    ],
)
def test_a_file_that_cannot_be_read_fails_its_job_with_what_to_do(
    api: Api, container: ContainerClient, job_type: str, resource_id: str, code: str
) -> None:
    del container
    job = api.run(job_type, {"dataset_id": CONTAINER, "resource_id": resource_id, "collection_id": "unread"})
    assert (job["status"], job["error"]["code"]) == ("failed", code)
    assert not job["error"]["retryable"]
    assert job["error"]["remediation"]


UNKNOWN = [
    ("list_container", {"dataset_id": "nowhere"}, "container_not_found"),
    ("sync_container", {"dataset_id": "nowhere"}, "container_not_found"),
    ("list_container", {"dataset_id": "mixed/rasters"}, "container_not_found"),
    ("sync_container", {"dataset_id": "x'; DROP TABLE app.jobs; --"}, "container_not_found"),
    ("catalog_file", {"dataset_id": "nowhere", "resource_id": "a.tif"}, "container_not_found"),
    ("stac_item_quick", {"dataset_id": CONTAINER, "resource_id": "nothing.tif"}, "blob_not_found"),
    ("extract_metadata", {"dataset_id": CONTAINER, "resource_id": "nothing.gpkg"}, "blob_not_found"),
    (
        "reproject_raster",
        {"dataset_id": CONTAINER, "resource_id": "no.tif", "target_crs": "EPSG:3857"},
        "blob_not_found",
    ),
]


@pytest.mark.parametrize(("job_type", "given", "code"), UNKNOWN, ids=lambda value: json.dumps(value)[:60])
def test_what_is_not_there_is_a_404(
    api: Api, container: ContainerClient, job_type: str, given: Json, code: str
) -> None:
    del container
    problem_of(api.post(f"jobs/{job_type}", json=given), 404, code)


INVALID = [
    ("list_container", {}, "dataset_id"),
    ("list_container", {"dataset_id": CONTAINER, "limit": -1}, "limit"),
    ("list_container", {"dataset_id": CONTAINER, "prefix": ["a"]}, "prefix"),
    ("list_container", {"dataset_id": "geostage-work"}, "dataset_id"),
    ("sync_container", {"dataset_id": "azure-webjobs-secrets"}, "dataset_id"),
    ("sync_container", {"dataset_id": CONTAINER, "remove_missing": "true"}, "remove_missing"),
    ("sync_container", {"dataset_id": CONTAINER, "collection_id": "a'; DELETE FROM pgstac.items; --"}, "collection_id"),
    ("catalog_file", {"dataset_id": CONTAINER, "resource_id": "readme.txt"}, "resource_id"),
    ("catalog_file", {"dataset_id": CONTAINER, "resource_id": "../other/a.tif"}, "resource_id"),
    ("catalog_file", {"dataset_id": CONTAINER, "resource_id": "http://host/a.vrt"}, "resource_id"),
    ("stac_item_full", {"dataset_id": CONTAINER}, "resource_id"),
    ("extract_metadata", {"dataset_id": CONTAINER, "resource_id": 7}, "resource_id"),
    ("reproject_raster", {"dataset_id": CONTAINER, "resource_id": "rasters/cog.tif"}, "target_crs"),
    (
        "reproject_raster",
        {"dataset_id": CONTAINER, "resource_id": "rasters/cog.tif", "target_crs": "native"},
        "target_crs",
    ),
    ("setup_stac_geo_schema", {"schema": "public"}, "schema"),
]


@pytest.mark.parametrize(("job_type", "given", "field"), INVALID, ids=lambda value: json.dumps(value)[:60])
def test_parameters_that_make_no_sense_are_a_400_that_names_them(
    api: Api, container: ContainerClient, job_type: str, given: Json, field: str
) -> None:
    del container
    problem = problem_of(api.post(f"jobs/{job_type}", json=given), 400, "invalid_parameters")
    assert [fault["field"] for fault in problem["errors"]] == [field]


def test_a_file_that_storage_keeps_back_is_an_entry_and_a_marker_of_a_directory_is_no_file(
    stack: Stack, api: Api
) -> None:
    name = "keptback"
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        client = service.create_container(name)
        client.upload_blob("places.csv", POINTS)
        client.upload_blob("archived.csv", POINTS)
        client.get_blob_client("archived.csv").set_standard_blob_tier("Archive")
        client.upload_blob("2026.csv", b"", metadata={"Hdi_IsFolder": "true"})
        client.upload_blob("2026/", b"")
    job = api.run("sync_container", {"dataset_id": name})
    assert job["status"] == "completed", job["error"]
    result = job["result_data"]
    assert (result["summary"]["blobs"], result["summary"]["catalogued"]) == (2, 1)
    (failed,) = result["failed_files"]
    assert (failed["name"], failed["code"]) == ("archived.csv", "blob_archived")
    assert "set-tier" in failed["remediation"]
    listed = api.run("list_container", {"dataset_id": name})["result_data"]
    assert [file["name"] for file in listed["files"]] == ["archived.csv", "places.csv"]
    loaded = api.run("process_vector", {"dataset_id": name, "resource_id": "archived.csv"})
    assert (loaded["error"]["code"], loaded["error"]["attempt"]) == ("blob_archived", 1)
