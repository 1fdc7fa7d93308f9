"""A database of its own for the protocol, emptied before each test; no other process writes to it."""

from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import pytest

from local.stack import Stack
from repositories.migrate import migrate
from repositories.postgres import Database
from repositories.storage.blobs import AzureBlobs, Blobs
from repositories.storage.fake_blobs import FakeBlobs
from schema.settings import Settings
from tests.fixtures.databases import add_effects, forget_jobs, new_database
from tests.integration.protocol import invariants
from tests.integration.protocol.world import World

KINDS = ["in memory", "Azure"]
"""What may stand behind a seam: queues and blobs that ship as fakes, or those of a storage account."""


@pytest.fixture(scope="session")
def protocol_dsn(stack: Stack) -> str:
    """A migrated database beside the stack's own."""
    return new_database(stack, "protocol", migrate, add_effects)


@pytest.fixture(scope="session")
def pool(protocol_dsn: str) -> Iterator[Database]:
    """The connections of all tests."""
    with closing(Database(protocol_dsn)) as database:
        yield database


@pytest.fixture
def settings(stack: Stack, protocol_dsn: str) -> Settings:
    """Tries follow one another at once."""
    return Settings(
        postgres_dsn=protocol_dsn,
        storage_connection_string=stack.storage_connection_string,
        retry_base_seconds=0,
    )


@pytest.fixture
def world(pool: Database, settings: Settings) -> Iterator[World]:
    """A deployment without jobs; whatever a test did to it, no rule of the protocol may be broken at its end."""
    forget_jobs(pool)
    with pool.connection() as conn:
        conn.execute("TRUNCATE geo.effects")
    yield World(settings, pool)
    with pool.connection() as conn:
        assert invariants.broken(conn) == []


@pytest.fixture(params=KINDS)
def blobs(request: pytest.FixtureRequest, settings: Settings) -> Blobs:
    return FakeBlobs() if request.param == "in memory" else AzureBlobs(settings)


@pytest.fixture(params=KINDS)
def small_blocks(request: pytest.FixtureRequest, settings: Settings) -> Blobs:
    """Storage that uploads in blocks of 1 KB."""
    return FakeBlobs() if request.param == "in memory" else AzureBlobs(settings, block_bytes=1024)


@pytest.fixture
def name() -> str:
    """A queue or container that nobody has used."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def away(settings: Settings) -> Settings:
    """A storage account that nobody serves."""
    endpoints = "BlobEndpoint=http://127.0.0.1:9/a;QueueEndpoint=http://127.0.0.1:9/a"
    secret = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0;{endpoints}"
    return settings.model_copy(update={"storage_connection_string": type(settings.postgres_dsn)(secret)})
