"""Clients of running hosts."""

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
from tests.acceptance.client import Api
from tests.conftest import must_run

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
