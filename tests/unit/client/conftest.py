"""An API that answers as a test tells it to, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from geostage_client.api import Api
from geostage_client.connection import Connection
from tests.unit.client.scripted import Server, serving


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as scripted:
        yield scripted


@pytest.fixture
def api(server: Server) -> Iterator[Api]:
    with Api(Connection(server.url, "--api", "s3cret-key", "GEOSTAGE_KEY")) as opened:
        yield opened
