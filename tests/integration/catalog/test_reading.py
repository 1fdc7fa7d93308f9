"""Reading the catalogue: what is not there is said, and nothing can be written."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from local.stack import Stack
from repositories.catalog import items
from repositories.migrate import migrate
from repositories.postgres import Database, DatabaseNotMigrated
from schema.errors import GeostageError, TransientError


@pytest.fixture(scope="module")
def without_pgstac(stack: Stack) -> Iterator[Database]:
    """A database with our tables alone."""
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE DATABASE without_pgstac"))
    dsn = stack.postgres_dsn.rpartition("/")[0] + "/without_pgstac"
    migrate(dsn)
    database = Database(dsn)
    yield database
    database.close()


def test_a_database_without_pgstac_is_said_to_be_so(without_pgstac: Database) -> None:
    with pytest.raises(DatabaseNotMigrated, match="lacks"), items.reading(without_pgstac, 5) as conn:
        list(items.search(conn, items.Filters(), after=None, limit=1))


def test_a_reader_cannot_write(without_pgstac: Database) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), items.reading(without_pgstac, 5) as conn:
        conn.execute("CREATE TABLE geo.written (a integer)")


def test_a_statement_that_takes_too_long_is_ended(without_pgstac: Database) -> None:
    with pytest.raises(items.SlowQuestion, match="did not answer within"), items.reading(without_pgstac, 0.05) as conn:
        conn.execute("SELECT pg_sleep(10)")


def test_the_limits_of_a_reader_end_with_it(without_pgstac: Database) -> None:
    names = ("statement_timeout", "search_path", "transaction_read_only")
    with items.reading(without_pgstac, 5):
        pass
    with without_pgstac.connection() as conn:
        kept = [(conn.execute(f"SHOW {name}".encode()).fetchone() or {})[name] for name in names]
    assert kept == ["30s", "public", "off"]


@pytest.mark.parametrize(
    ("fail_on_lock", "error", "code"),
    [(True, items.TableLocked, "table_locked"), (False, TransientError, "database_busy")],
)
def test_a_lock_fails_for_good_only_who_asked_about_the_table_itself(
    stack: Stack,
    without_pgstac: Database,
    *,
    fail_on_lock: bool,
    error: type[GeostageError],
    code: str,
) -> None:
    dsn = stack.postgres_dsn.rpartition("/")[0] + "/without_pgstac"
    with psycopg.connect(dsn) as holder:
        holder.execute("LOCK TABLE geo.tiles IN ACCESS EXCLUSIVE MODE")
        with (
            pytest.raises(error) as raised,
            items.reading(without_pgstac, 5, fail_on_lock=fail_on_lock, lock_seconds=0.05) as conn,
        ):
            conn.execute("SELECT count(*) FROM geo.tiles")
    assert raised.value.error_code == code
