"""A worker is killed, and a source replaced, in the middle of a raster's tiles."""

import os
import signal
from pathlib import Path

import numpy
import pytest
import rasterio

from repositories.storage.blobs import AzureBlobs
from schema.settings import Settings
from tests.chaos.deployment import Deployment
from tests.fixtures.mosaics import download_mosaic
from tests.fixtures.rasters import Array, write_bytes

SIDE = 3000
TILES = 2
"""Stage number."""
pytestmark = pytest.mark.slow


def blobs_of(deployment: Deployment) -> AzureBlobs:
    return AzureBlobs(
        Settings(
            postgres_dsn=deployment.stack.postgres_dsn,
            storage_connection_string=deployment.stack.storage_connection_string,
        )
    )


def put_raster(deployment: Deployment, folder: Path, name: str) -> Array:
    pixels = numpy.random.default_rng(1).integers(1, 255, (1, SIDE, SIDE)).astype("uint8")
    options = {"nodata": 0, "tiled": True, "compress": "deflate"}
    blobs_of(deployment).write("bronze", name, write_bytes(folder / "a.tif", pixels=pixels, **options))
    return pixels


def in_the_middle(deployment: Deployment, name: str) -> str:
    """Submit tiles of a raster; some are made and others are at it."""
    job_id = deployment.submit(
        "tile_raster", dataset_id="bronze", resource_id=name, target_crs="native", target_tile_size_gb=0.0003
    )
    deployment.wait(
        lambda: deployment.count(job_id, "completed", TILES) and deployment.count(job_id, "processing", TILES)
    )
    return job_id


def test_a_worker_that_is_killed_in_the_middle_of_a_tile_leaves_no_gap(deployment: Deployment, tmp_path: Path) -> None:
    pixels = put_raster(deployment, tmp_path, "killed.tif")
    job_id = in_the_middle(deployment, "killed.tif")
    os.kill(deployment.host.worker_pids()[0], signal.SIGKILL)
    assert deployment.follow(job_id, seconds=120) == "completed"
    (row,) = deployment.sql("SELECT result_data ->> 'vrt_path' AS path FROM app.jobs WHERE job_id = %s", job_id)
    with rasterio.open(download_mosaic(blobs_of(deployment), row["path"], tmp_path / "mosaic")) as mosaic:
        assert (mosaic.read() == pixels).all()
    found = "SELECT count(*) AS n, count(DISTINCT tile_id) AS ids FROM geo.tiles WHERE plan_id = %s AND status = 'done'"
    (counted,) = deployment.sql(found, job_id)
    assert counted["n"] == counted["ids"] > 30
    assert deployment.broken() == []


def test_a_source_that_is_replaced_in_the_middle_fails_the_job(deployment: Deployment, tmp_path: Path) -> None:
    put_raster(deployment, tmp_path, "replaced.tif")
    job_id = in_the_middle(deployment, "replaced.tif")
    put_raster(deployment, tmp_path, "replaced.tif")
    assert deployment.follow(job_id, seconds=120) == "failed"
    (row,) = deployment.sql("SELECT error ->> 'code' AS code FROM app.jobs WHERE job_id = %s", job_id)
    assert row["code"] == "source_changed"
    assert deployment.sql("SELECT 1 FROM geo.tiling_plans WHERE plan_id = %s AND status = 'done'", job_id) == []
    assert deployment.broken() == []
