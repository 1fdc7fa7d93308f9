"""A database of its own for the loads, whose target schema is emptied before each test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from local.stack import Stack
from repositories.migrate import migrate
from repositories.postgres import Database
from schema.settings import Settings
from tests.fixtures.databases import forget_jobs, new_database
from tests.integration.vector.loading import Loader


@pytest.fixture(scope="session")
def vector_dsn(stack: Stack) -> str:
    """A migrated database beside the stack's own."""
    return new_database(stack, "vector", migrate)


@pytest.fixture(scope="session")
def vector_database(vector_dsn: str) -> Iterator[Database]:
    with closing(Database(vector_dsn)) as database:
        yield database


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sources are cached apart from those of any other process on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("sources")))
        yield


@pytest.fixture
def loader(vector_dsn: str, vector_database: Database, tmp_path: Path) -> Loader:
    forget_jobs(vector_database)
    with vector_database.transaction() as conn:
        conn.execute("DROP SCHEMA IF EXISTS geo CASCADE")
        conn.execute("CREATE SCHEMA geo")
    return Loader(Settings(postgres_dsn=vector_dsn, retry_base_seconds=0), vector_database, tmp_path)
