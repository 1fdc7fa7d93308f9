"""Migrations: the road leads to schema.sql, can be taken twice, and by many at once."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from local.stack import Stack
from repositories import migrate as migrations
from repositories.migrate import migrate, migration_files
from repositories.postgres import Database
from tests.fixtures.databases import new_database
from tests.fixtures.waiting import at_once

SCHEMA = Path(migrations.__file__).parent.parent / "schema" / "schema.sql"
OURS = "('app', 'geo', 'geostage_work')"
CATALOG = {
    "schemas": f"SELECT nspname FROM pg_namespace WHERE nspname IN {OURS}",
    "columns": f"""
        SELECT attrelid::regclass::text, attnum, attname, format_type(atttypid, atttypmod), attnotnull, attgenerated,
               attidentity, pg_get_expr(adbin, adrelid)
        FROM pg_attribute JOIN pg_class AS c ON c.oid = attrelid
            LEFT JOIN pg_attrdef ON (adrelid, adnum) = (attrelid, attnum)
        WHERE relnamespace::regnamespace::text IN {OURS} AND attnum > 0 AND NOT attisdropped""",
    "relations": f"""
        SELECT oid::regclass::text, relkind, reloptions FROM pg_class
        WHERE relnamespace::regnamespace::text IN {OURS}""",
    "constraints": f"""
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace::regnamespace::text IN {OURS}""",
    "indexes": f"SELECT indexname, indexdef FROM pg_indexes WHERE schemaname IN {OURS}",
    "enums": f"""
        SELECT typname, enumsortorder, enumlabel FROM pg_enum JOIN pg_type AS t ON t.oid = enumtypid
        WHERE typnamespace::regnamespace::text IN {OURS}""",
    "functions": f"""
        SELECT oid::regprocedure::text, prosrc, provolatile FROM pg_proc
        WHERE pronamespace::regnamespace::text IN {OURS}""",
    "triggers": "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal",
    "comments": f"""
        SELECT objoid::regclass::text, objsubid, description FROM pg_description
        WHERE classoid = 'pg_class'::regclass AND objoid IN (
            SELECT oid FROM pg_class WHERE relnamespace::regnamespace::text IN {OURS})""",
    "extensions": "SELECT extname FROM pg_extension WHERE extname <> 'plpgsql'",
    "rows": "SELECT only_row, swept_at FROM app.sweep",
}


@pytest.fixture
def empty(stack: Stack) -> Iterator[str]:
    yield new_database(stack, "empty")
    drop(stack, "empty")


def drop(stack: Stack, name: str) -> None:
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def catalog(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """All that the database is made of, in an order of its own."""
    with psycopg.connect(dsn) as conn:
        found = {what: conn.execute(statement.encode()).fetchall() for what, statement in CATALOG.items()}
    return {what: sorted(rows, key=str) for what, rows in found.items()}


def test_schema_sql_is_the_sum_of_the_migrations(stack: Stack, empty: str) -> None:
    migrate(empty)
    direct = new_database(stack, "direct")
    with psycopg.connect(direct) as conn:
        conn.execute(SCHEMA.read_bytes())
    by_road, by_sum = catalog(empty), catalog(direct)
    drop(stack, "direct")
    assert len(by_sum["columns"]) > 50
    for what in CATALOG:
        assert by_road[what] == by_sum[what], what


def test_migrating_twice_does_nothing(empty: str) -> None:
    assert migrate(empty) == [path.name for path in migration_files()]
    before = catalog(empty)
    assert migrate(empty) == []
    assert catalog(empty) == before


def test_of_migration_runs_at_once_one_applies_each_migration(empty: str) -> None:
    applied = at_once(*(partial(migrate, empty) for _ in range(4)))
    assert sorted(name for names in applied for name in names) == [path.name for path in migration_files()]


def test_a_migration_that_fails_leaves_nothing_of_itself(
    empty: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0001_good.sql").write_text("CREATE SCHEMA app; CREATE TABLE app.one (n integer);")
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE app.two (n integer); SELECT 1 / 0;")
    monkeypatch.setattr(migrations, "MIGRATIONS", tmp_path)
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty)
    (tmp_path / "0002_bad.sql").write_text("CREATE TABLE app.two (n integer);")
    assert migrate(empty) == ["0002_bad.sql"]


def test_a_new_connection_of_the_role_reads_what_is_committed(empty: str) -> None:
    migrate(empty)
    with psycopg.connect(empty) as conn:
        assert conn.execute("SHOW default_transaction_isolation").fetchone() == ("read committed",)


def test_a_database_without_our_tables_says_what_to_do(empty: str) -> None:
    database = Database(empty)
    with pytest.raises(Exception, match="lacks tables") as refused, database.connection() as conn:
        conn.execute("SELECT 1 FROM app.jobs")
    database.close()
    assert "repositories.migrate" in refused.value.remediation  # type: ignore[attr-defined]


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = [int(path.name[:4]) for path in migration_files()]
    assert numbers == list(range(1, len(numbers) + 1))
