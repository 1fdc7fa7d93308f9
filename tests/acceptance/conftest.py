"""Clients of running hosts, and what the catalogue of a host holds."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pystac_client
import pytest

from local.hosts import Host
from local.readers import PYTHON, stac_api
from local.stack import Stack
from repositories.postgres import Database
from tests.acceptance.client import Api
from tests.conftest import must_run
from tests.fixtures.items import COG, around, make_item, write_items

APP = Path(__file__).parent / "app"
QUICK = {
    "GEOSTAGE_MAX_ATTEMPTS": "1",
    "GEOSTAGE_SWEEP_RESEND_SECONDS": "2",
    "GEOSTAGE_HEARTBEAT_SECONDS": "0.5",
}


@contextmanager
def client_of(host: Host) -> Iterator[Api]:
    with httpx.Client(base_url=f"{host.url}/", timeout=30) as client:
        yield Api(client, host.log)


@pytest.fixture(scope="session")
def api(host: Host) -> Iterator[Api]:
    """The real application."""
    with client_of(host) as client:
        yield client


@pytest.fixture(scope="module")
def catalogue(stack: Stack) -> Iterator[pystac_client.Client]:
    """The catalogue as pystac-client sees it."""
    if not PYTHON.exists() and not must_run():
        pytest.skip("stac-fastapi-pgstac is not installed: ./dev test installs it")
    with stac_api(stack) as url:
        yield pystac_client.Client.open(url)


@pytest.fixture(scope="session")
def own_stack(stack: Stack) -> Iterator[Stack]:
    """A second stack, whose servers a test may stop; its first one tells whether this machine has them at all."""
    del stack
    with Stack.spare("faults", fresh=True) as started:
        started.migrate()
        yield started


@pytest.fixture(scope="session")
def probed(own_stack: Stack) -> Iterator[Api]:
    """The application with the job type `probe`: tasks are tried once, resends and poison come soon."""
    with client_of(own_stack.start_host(workers=1, env=QUICK, project=APP)) as client:
        yield client


@pytest.fixture(scope="module")
def database(stack: Stack) -> Iterator[Database]:
    """The database that the host reads."""
    opened = Database(stack.postgres_dsn)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def filled_catalog(database: Database) -> None:
    """Three collections: towns, shapes that are hard on a globe, and enough items for pages."""
    towns = {"bonn": (7.1, 50.73), "koeln": (6.96, 50.94), "suva": (178.44, -18.14)}
    write_items(
        database,
        [
            make_item("catalog-places", name, around(x, y), at=f"2024-0{n}-10T12:00:00Z", crs=f"EPSG:3263{n}", size=n)
            for n, (name, (x, y)) in enumerate(towns.items(), start=1)
        ],
    )
    write_items(
        database,
        [
            make_item("catalog-globe", "world", (-180.0, -90.0, 180.0, 90.0), at="2020-01-01T00:00:00Z"),
            make_item("catalog-globe", "fiji-east", (-180.0, -19.0, -179.0, -18.0), at="2020-01-02T00:00:00Z"),
            make_item("catalog-globe", "pole", (-180.0, 89.0, 180.0, 90.0), at="2020-01-03T00:00:00Z"),
        ],
        item_assets={"data": {"type": COG, "title": "Said once for all"}},
    )
    write_items(
        database,
        [make_item("catalog-many", f"item-{n:02}", at=f"2023-01-{1 + n // 2:02}T00:00:00Z") for n in range(25)],
    )
