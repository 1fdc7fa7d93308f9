"""setup_stac_geo_schema: migrations by a job, again and at once, and by a role that may not."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from local.stack import Stack
from repositories.catalog.pgstac import pgstac_target
from repositories.migrate import MigrationRefused, main, migrate, migrate_all, migration_files
from repositories.postgres import DatabaseUnavailable
from schema.errors import PermanentError
from schema.settings import POSTGRES_DSN_VARIABLE, get_settings
from tests.fixtures.databases import new_database
from tests.fixtures.waiting import at_once
from tests.integration.containers.world import Containers

ROLE = "geostage_reader"


@pytest.fixture
def reader_dsn(stack: Stack) -> Iterator[str]:
    """A new database, for a role that may only connect to it."""
    dsn = new_database(stack, "setup")
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(ROLE)))
        conn.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'reader'").format(sql.Identifier(ROLE)))
    scheme, _, rest = dsn.partition("://")
    yield f"{scheme}://{ROLE}:reader@{rest.partition('@')[2]}"
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute("DROP DATABASE setup")
        conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(ROLE)))


def test_a_job_says_that_the_database_is_up_to_date(world: Containers) -> None:
    job = world.engine.submit("setup_stac_geo_schema", b"{}").job
    world.run_all()
    result = world.job(job).result_data
    assert result == {
        "status": "up_to_date",
        "applied": [],
        "migrations": [path.name for path in migration_files()],
        "pgstac_version": pgstac_target(),
    }


def test_two_runs_at_once_apply_each_migration_once(stack: Stack) -> None:
    dsn = new_database(stack, "setup_twice")
    one, other = at_once(*[lambda: migrate_all(dsn).names] * 2)
    # One run may come first with our migrations and the other with pgSTAC's.
    assert sorted([*one, *other]) == [*(path.name for path in migration_files()), f"pgSTAC {pgstac_target()}"]


def test_what_is_missing_of_pgstac_is_added_to_a_database_with_our_tables(stack: Stack) -> None:
    dsn = new_database(stack, "setup_half")
    migrate(dsn)
    assert migrate_all(dsn).names == [f"pgSTAC {pgstac_target()}"]


def test_a_role_that_may_not_is_told_so(reader_dsn: str) -> None:
    with pytest.raises(MigrationRefused, match="may not apply the migrations: permission denied") as raised:
        migrate_all(reader_dsn)
    assert isinstance(raised.value, PermanentError)
    assert "azure" not in raised.value.message
    assert "python -m repositories.migrate" in raised.value.remediation
    assert "reader" not in raised.value.message.replace(ROLE, "")


def test_the_command_says_the_same_and_fails(
    reader_dsn: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(POSTGRES_DSN_VARIABLE, reader_dsn)
    get_settings.cache_clear()
    assert main() == 1
    get_settings.cache_clear()
    assert "may not apply" in capsys.readouterr().err


def test_a_database_that_is_away_is_worth_another_try() -> None:
    with pytest.raises(DatabaseUnavailable) as raised:
        migrate_all("postgresql://geostage@127.0.0.1:9/geostage")
    assert "127.0.0.1" not in raised.value.message
