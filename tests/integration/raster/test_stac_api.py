"""A catalogue that others can read: pystac-client, through stac-fastapi-pgstac in a virtual environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from psycopg.conninfo import conninfo_to_dict

from local.cli import REQUIRE_STACK
from local.paths import LOCAL
from local.ports import free_ports
from tests.integration.raster.world import World
from tests.unit.raster.rasters import ramp
from tests.unit.stac.schemas import validate

HERE = Path(__file__).parent
VENV = LOCAL / "stac-api"
PYTHON = VENV / "bin" / "python"
WANTED = (HERE / "stac-api.txt").read_text()


@pytest.fixture(scope="module")
def stac_api(raster_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a STAC API on the tests' database."""
    install()
    (port,) = free_ports(8082)
    parts = conninfo_to_dict(raster_dsn)
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    environment = {name: str(parts[key]) for key, name in names.items()}
    command = [str(PYTHON), "-m", "uvicorn", "--port", str(port), "--factory"]
    command.append("stac_fastapi.pgstac.app:create_app")
    folder = tmp_path_factory.mktemp("stac-api")
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(url, server, folder / "log")
            yield url
        finally:
            server.terminate()
            server.wait(10)


def install() -> None:
    """Make the virtual environment, once; without a network the test is skipped on a laptop."""
    stamp = VENV / "stamp"
    if stamp.exists() and stamp.read_text() == WANTED:
        return
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    pip = [str(PYTHON), "-m", "pip", "install", "-q", "-r", str(HERE / "stac-api.txt")]
    done = subprocess.run(pip, capture_output=True, text=True, check=False)
    if done.returncode:
        if os.environ.get("CI") == "true" or os.environ.get(REQUIRE_STACK):
            raise AssertionError(done.stderr)
        pytest.skip("stac-fastapi-pgstac cannot be installed here")
    stamp.write_text(WANTED)


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/_mgmt/ping").is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_search_of_pystac_client_finds_the_raster(world: World, stac_api: str) -> None:
    tags = {"TIFFTAG_DATETIME": "2021:02:03 04:05:06"}
    name = world.put_raster("hills.tif", pixels=ramp(count=3), tags=tags)
    result = world.run("process_raster", name, collection_id="hills")
    command = [str(PYTHON), str(HERE / "search.py"), stac_api, "hills", "9.01,46.91,9.02,46.92"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    (item,) = answer["found"]
    assert item["id"] == result["stac_id"]
    assert item["properties"]["datetime"] == "2021-02-03T04:05:06Z"
    assert item["assets"]["data"]["bands"][2]["statistics"]["maximum"] > 200
    assert answer["elsewhere"] == answer["later"] == []
    assert answer["extent"]["spatial"]["bbox"][0] == pytest.approx(item["bbox"])
    validate(item)
