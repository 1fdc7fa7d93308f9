"""What ./dev env --qgis prints is what GDAL and PostgreSQL open."""

from __future__ import annotations

import re
import subprocess

import httpx
import psycopg
import pytest
import rasterio
from azure.storage.blob import BlobServiceClient

from local import qgis
from local.hosts import Host
from local.samples import elevation
from local.stack import Stack
from tests.acceptance.client import Api
from tests.fixtures.network import NETWORK
from tests.fixtures.vector import boxes, gpkg

COG = "silver/qgis/dem%20%C3%A9/v1.tif"


@pytest.fixture(scope="module")
def page(stack: Stack, host: Host, api: Api, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page, after a table and a COG were made."""
    del host
    folder = tmp_path_factory.mktemp("qgis")
    elevation(folder / "dem.tif")
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        container = service.create_container("qgis")
        container.upload_blob("für qgis.gpkg", gpkg(boxes(5), folder))
        container.upload_blob("dem é.tif", (folder / "dem.tif").read_bytes())
    for job_type, blob in (("process_vector", "für qgis.gpkg"), ("process_raster", "dem é.tif")):
        assert api.run(job_type, {"dataset_id": "qgis", "resource_id": blob})["status"] == "completed"
    return qgis.describe(stack.state)


def test_the_values_of_the_connection_lead_to_the_table(page: str) -> None:
    values = dict(re.findall(r"^  (Host|Port|Database|User|Password|Schema) +(\S+)$", page, re.MULTILINE))
    login = {"user": values["User"], "password": values["Password"], "dbname": values["Database"]}
    with psycopg.connect(host=values["Host"], port=values["Port"], **login) as connection:
        assert connection.execute(f"SELECT count(*) FROM {values['Schema']}.fur_qgis").fetchone() == (5,)
    assert "  table     geo.fur_qgis (POLYGON, EPSG:4326)" in page
    assert "__rejects" not in page


def test_the_line_for_psql_runs(page: str) -> None:
    (line,) = re.findall(r'^  (psql ".*")$', page, re.MULTILINE)
    done = subprocess.run(["bash", "-c", f"{line} -Atc 'SELECT 1'"], capture_output=True, text=True, check=False)
    assert done.stdout == "1\n", done.stderr


def test_the_urls_of_cogs_open_with_gdal_and_can_only_be_read(page: str) -> None:
    (pattern, *urls) = re.findall(r"^  (http://.*)$", page, re.MULTILINE)
    before, _, signature = pattern.partition("<cog_path>?")
    (url,) = [url for url in urls if COG in url]
    assert url.startswith(f"{before}{COG}?")
    for name in (url, f"/vsicurl/{url}", f"{before}{COG}?{signature}"):
        with rasterio.Env(**NETWORK), rasterio.open(name) as file:
            assert (file.driver, file.read(1).max()) == ("GTiff", 1076)
    assert f'gdalinfo "/vsicurl/{urls[0]}"' in page
    assert httpx.put(url, content=b"x", headers={"x-ms-blob-type": "BlockBlob"}).status_code == 403
