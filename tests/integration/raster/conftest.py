"""A database with pgSTAC, beside the stack's own, and the raster handlers on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from local.stack import Stack
from repositories.migrate import migrate_all
from repositories.postgres import Database
from schema.settings import Settings
from services.context import TaskContext
from tests.fixtures.databases import forget_jobs, new_database
from tests.integration.raster.world import World


@pytest.fixture(scope="session")
def raster_dsn(stack: Stack) -> str:
    """A migrated database."""
    return new_database(stack, "raster", migrate_all)


@pytest.fixture(scope="session")
def raster_database(raster_dsn: str) -> Iterator[Database]:
    """The connections of all tests."""
    with closing(Database(raster_dsn)) as database:
        yield database


@pytest.fixture
def world(raster_dsn: str, raster_database: Database, tmp_path: Path) -> World:
    """A deployment without blobs and jobs. Tries follow one another at once."""
    forget_jobs(raster_database)
    return World(Settings(postgres_dsn=raster_dsn, retry_base_seconds=0), raster_database, tmp_path)


@pytest.fixture
def no_context_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check that a folder of a task is gone when the task is."""
    leave = TaskContext.__exit__

    def left(self: TaskContext, *exc: Any) -> bool | None:
        folder = self.__dict__.get("work_folder")
        result = leave(self, *exc)
        assert folder is None or not folder.exists()
        return result

    monkeypatch.setattr(TaskContext, "__exit__", left)
