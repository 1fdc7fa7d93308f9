"""The app on the engine that runs apps on Python 3.13 and later in Azure, under every Python that ./dev names."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from local.cli import RUNTIME_PYTHONS
from local.errors import MissingServer
from local.stack import Stack
from tests.conftest import must_run
from tests.runtime.host import RUNTIME, RuntimeHost

PYTHONS = [Path(path) for path in (sys.executable, *os.environ.get(RUNTIME_PYTHONS, "").split(os.pathsep)) if path]


@pytest.fixture(scope="module")
def own_stack(stack: Stack) -> Iterator[Stack]:
    """A second stack, whose queues no other host reads; the first one tells whether this machine has the servers."""
    del stack
    with Stack.spare("runtime", fresh=True) as started:
        started.migrate()
        yield started


@pytest.fixture(scope="module")
def blobs(own_stack: Stack) -> Iterator[BlobServiceClient]:
    """The blobs of that stack."""
    with BlobServiceClient.from_connection_string(own_stack.storage_connection_string) as service:
        yield service


@pytest.fixture(scope="module", params=PYTHONS, ids=[python.parent.parent.name for python in PYTHONS])
def runtime(own_stack: Stack, request: pytest.FixtureRequest) -> Iterator[RuntimeHost]:
    """The app, loaded by the engine under one Python."""
    if not RUNTIME.exists():
        message = "The Functions runtime engine is not installed. Run ./dev test, which installs it."
        if must_run():
            raise MissingServer(message)
        pytest.skip(message)
    python: Path = request.param
    log = own_stack.log_folder / f"runtime-{python.parent.parent.name}.log"
    with (
        QueueServiceClient.from_connection_string(own_stack.storage_connection_string) as queues,
        RuntimeHost(python, own_stack.environment(), queues, log) as host,
    ):
        yield host


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name that no test under another Python uses: one job asked for twice is one job."""
    python: Path = request.node.callspec.params["runtime"]
    return python.parent.parent.name.replace(".", "-")
