"""A database with pgSTAC of its own, whose jobs and items are removed before each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.stack import Stack
from repositories.migrate import migrate_all
from repositories.postgres import Database
from tests.fixtures.databases import forget_jobs, new_database
from tests.integration.containers.world import Containers, world_settings


@pytest.fixture(scope="session")
def containers_dsn(stack: Stack) -> str:
    """A migrated database beside the stack's own."""
    return new_database(stack, "containers", migrate_all)


@pytest.fixture(scope="session")
def containers_database(containers_dsn: str) -> Iterator[Database]:
    """The connections of all tests."""
    with closing(Database(containers_dsn)) as database:
        yield database


@pytest.fixture
def world(containers_dsn: str, containers_database: Database, tmp_path: Path) -> Containers:
    """A deployment with an empty container and an empty catalogue."""
    forget_jobs(containers_database)
    with containers_database.transaction() as conn:
        conn.execute("SELECT set_config('search_path', 'pgstac, public', true)")
        conn.execute("DELETE FROM pgstac.collections")
    return Containers(world_settings(containers_dsn), containers_database, folder=tmp_path)
