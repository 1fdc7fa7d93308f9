"""Rasters over HTTP: a GeoTIFF goes in; a COG, its STAC item and a search that finds it come out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pystac_client
import pytest
import rasterio
from azure.storage.blob import BlobServiceClient
from cogeo_mosaic.backends.memory import MemoryBackend
from cogeo_mosaic.mosaic import MosaicJSON
from rio_cogeo.cogeo import cog_validate

from local.samples import elevation
from local.stack import Stack
from tests.acceptance.client import Api, problem_of
from tests.fixtures.network import NETWORK

CONTAINER = "rasters"


@pytest.fixture(scope="module")
def blobs(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobServiceClient]:
    """Storage with the elevation model in it."""
    file = tmp_path_factory.mktemp("dem") / "dem.tif"
    elevation(file)
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        container = service.create_container(CONTAINER)
        container.upload_blob("survey 2019/höhe.tif", file.read_bytes())
        container.upload_blob("text.tif", b"no raster at all")
        yield service


def parameters(resource_id: str, **more: object) -> dict[str, object]:
    return {"dataset_id": CONTAINER, "resource_id": resource_id, **more}


def test_a_raster_becomes_a_cog_and_an_item_that_a_search_finds(
    api: Api, blobs: BlobServiceClient, catalogue: pystac_client.Client, tmp_path: Path
) -> None:
    job = api.run("process_raster", parameters("survey 2019/höhe.tif"))
    assert job["status"] == "completed", job["error"]
    result = job["result_data"]
    container, _, name = result["cog_path"].partition("/")
    cog = tmp_path / "cog.tif"
    cog.write_bytes(blobs.get_blob_client(container, name).download_blob().readall())
    assert cog_validate(cog, strict=True)[:3] == (True, [], [])
    with rasterio.open(cog) as file:
        assert file.crs.to_epsg() == 4326
        assert (int(file.read(1, masked=True).min()), int(np.max(file.read(1)))) == (236, 1076)
        bounds = file.bounds
    # Other tests leave items in collections of their own.
    ours = [result["collection_id"]]
    found = list(catalogue.search(collections=ours, bbox=[-84.4, 36.5, -84.3, 36.6]).items())
    assert [item.id for item in found] == [result["stac_id"]]
    assert found[0].bbox == pytest.approx(list(bounds), abs=1e-6)
    assert not list(catalogue.search(collections=ours, bbox=[10, 10, 11, 11]).items())


def test_a_raster_becomes_tiles_that_open_as_one_from_storage(
    api: Api, stack: Stack, blobs: BlobServiceClient, catalogue: pystac_client.Client
) -> None:
    del blobs
    named = parameters("survey 2019/höhe.tif")
    plan = api.run("generate_tiling_plan", {**named, "target_tile_size_gb": 0.0001})["result_data"]
    job = api.run("tile_raster", {**named, "collection_id": "tiles", "plan_id": plan["plan_id"]})
    assert job["status"] == "completed", job["error"]
    result = job["result_data"]
    assert (job["stages"], result["tiles_created"], plan["tile_count"]) == (3, 4, 4)
    found = list(catalogue.search(collections=["tiles"]).items())
    assert {item.id for item in found} == {tile["stac_id"] for tile in result["tiles"]}
    with rasterio.Env(**NETWORK, AZURE_STORAGE_CONNECTION_STRING=stack.storage_connection_string):
        with rasterio.open(f"/vsiaz/{result['vrt_path']}") as mosaic:
            assert (mosaic.width, mosaic.height) == (plan["width"], plan["height"])
            assert (int(mosaic.read(1).min()), int(mosaic.read(1).max())) == (236, 1076)
            (value,) = mosaic.sample([(-84.25, 36.6)])
        with rasterio.open(f"/vsiaz/{result['mosaic_path']}".replace("mosaic.json", "tiles/r0c0.tif")) as tile:
            assert list(tile.bounds) == pytest.approx(result["tiles"][0]["bounds"])
        document = stored_mosaic(stack, result["mosaic_path"])
        with MemoryBackend(mosaic_def=document) as opened:
            assert int(opened.point(-84.25, 36.6)[0][1].data[0]) == value[0]


def stored_mosaic(stack: Stack, path: str) -> MosaicJSON:
    """Read a MosaicJSON out of storage."""
    container, _, name = path.partition("/")
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        return MosaicJSON.model_validate_json(service.get_blob_client(container, name).download_blob().readall())


def test_a_raster_for_one_task_is_refused_as_a_large_one(api: Api, blobs: BlobServiceClient) -> None:
    del blobs
    job = api.run("process_large_raster", parameters("survey 2019/höhe.tif"))
    assert (job["status"], job["error"]["code"]) == ("failed", "raster_too_small")


@pytest.mark.parametrize("fault", [{"target_tile_size_gb": 0}, {"plan_id": "x"}, {"optimize": "lossless"}])
def test_tiles_that_cannot_be_asked_for_are_refused_at_the_post(api: Api, fault: dict[str, object]) -> None:
    problem_of(api.post("jobs/tile_raster", json=parameters("a.tif", **fault)), 400, "invalid_parameters")


def test_the_same_raster_twice_is_one_item(api: Api, blobs: BlobServiceClient, catalogue: pystac_client.Client) -> None:
    ids = [
        api.run("process_raster", parameters("survey 2019/höhe.tif", version_id="twice"))["result_data"]["stac_id"]
        for _ in range(2)
    ]
    assert ids[0] == ids[1]
    assert len(list(catalogue.search(ids=ids[:1]).items())) == 1
    assert blobs.get_container_client("silver").exists()


def test_a_raster_is_looked_at_without_being_changed(api: Api, blobs: BlobServiceClient) -> None:
    del blobs
    job = api.run("validate_raster", parameters("survey 2019/höhe.tif"))
    assert job["status"] == "completed", job["error"]
    assert job["result_data"]["cog"]["valid"] is False


def test_what_is_no_raster_fails_with_what_to_do(api: Api, blobs: BlobServiceClient) -> None:
    del blobs
    job = api.run("cog_conversion", parameters("text.tif"))
    assert job["status"] == "failed"
    assert not job["error"]["retryable"]
    assert "text.tif" in job["error"]["message"]
    assert job["error"]["remediation"]


@pytest.mark.parametrize("name", ["/vsicurl/http://host/x.tif", "http://host/x.tif", "plan.vrt"])
def test_a_name_that_gdal_would_follow_is_refused(api: Api, name: str) -> None:
    problem_of(api.post("jobs/validate_raster", json=parameters(name)), 400, "invalid_parameters")
