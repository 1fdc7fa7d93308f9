"""A database with pgSTAC, beside the stack's own, and the raster handlers on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from local.stack import Stack
from repositories.migrate import migrate
from repositories.pgstac import migrate_pgstac
from repositories.postgres import Database
from schema.settings import Settings
from tests.integration.raster.world import World


@pytest.fixture(scope="session")
def raster_dsn(stack: Stack) -> str:
    """A migrated database."""
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE raster"))
    dsn = stack.postgres_dsn.rpartition("/")[0] + "/raster"
    migrate(dsn)
    assert migrate_pgstac(dsn)
    assert migrate_pgstac(dsn) is None
    return dsn


@pytest.fixture(scope="session")
def raster_database(raster_dsn: str) -> Iterator[Database]:
    """The connections of all tests."""
    database = Database(raster_dsn)
    yield database
    database.close()


@pytest.fixture
def world(raster_dsn: str, raster_database: Database, tmp_path: Path) -> World:
    """A deployment without blobs."""
    return World(raster_database, Settings(postgres_dsn=raster_dsn), tmp_path)
