"""Workers are killed while they load the chunks of a file, and the table holds every row once."""

import os
import signal
from pathlib import Path

import geopandas
import numpy
import pytest

from repositories.storage.blobs import AzureBlobs
from schema.settings import Settings
from tests.chaos.deployment import Deployment

ROWS = 60_000
CHUNK_ROWS = 2_000
UPLOAD = 2
pytestmark = pytest.mark.slow


def upload_source(deployment: Deployment, folder: Path, name: str) -> None:
    """Put a GeoPackage of points, numbered from 1, into the container bronze."""
    numbers = numpy.arange(1, ROWS + 1)
    points = geopandas.points_from_xy(numbers % 360 - 180, numbers % 170 - 85)
    file = folder / name
    geopandas.GeoDataFrame({"number": numbers}, geometry=points, crs="EPSG:4326").to_file(file, driver="GPKG")
    settings = Settings(
        postgres_dsn=deployment.stack.postgres_dsn,
        storage_connection_string=deployment.stack.storage_connection_string,
    )
    AzureBlobs(settings).write("bronze", name, file.read_bytes())


@pytest.mark.parametrize("killed", ["one worker", "all workers"])
def test_a_table_holds_every_row_once_though_workers_are_killed_while_they_load_it(
    deployment: Deployment, tmp_path: Path, killed: str
) -> None:
    name = f"{killed.replace(' ', '_')}.gpkg"
    upload_source(deployment, tmp_path, name)
    job_id = deployment.submit("process_vector", dataset_id="bronze", resource_id=name, chunk_size=CHUNK_ROWS)
    deployment.wait(
        lambda: deployment.count(job_id, "completed", UPLOAD) and deployment.count(job_id, "processing", UPLOAD)
    )
    pids = deployment.host.worker_pids()
    for pid in pids if killed == "all workers" else pids[:1]:
        os.kill(pid, signal.SIGKILL)
    assert deployment.count(job_id, "completed", UPLOAD) < ROWS // CHUNK_ROWS
    assert deployment.follow(job_id) == "completed"
    table = f"geo.{name.removesuffix('.gpkg')}"
    counted = f"SELECT count(*) AS rows, count(DISTINCT number) AS numbers, max(number) AS highest FROM {table}"
    assert deployment.sql(counted) == [{"rows": ROWS, "numbers": ROWS, "highest": ROWS}]
    assert deployment.sql("SELECT tablename FROM pg_tables WHERE tablename LIKE 's_' || %s || '%%'", job_id) == []
    assert deployment.broken() == []
