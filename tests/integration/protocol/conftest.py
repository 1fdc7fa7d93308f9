"""A database of its own for the protocol, emptied before each test; no other process writes to it."""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from local.stack import Stack
from repositories.migrate import migrate
from repositories.postgres import Database
from schema.settings import Settings
from tests.integration.protocol import invariants
from tests.integration.protocol.world import World


@pytest.fixture(scope="session")
def protocol_dsn(stack: Stack) -> str:
    """A migrated database beside the stack's own."""
    return prepared_database(stack, "protocol")


@pytest.fixture(scope="session")
def pool(protocol_dsn: str) -> Iterator[Database]:
    """The connections of all tests."""
    database = Database(protocol_dsn)
    yield database
    database.close()


@pytest.fixture
def settings(stack: Stack, protocol_dsn: str) -> Settings:
    """Tries follow one another at once, and a slot is not waited for long."""
    return Settings(
        postgres_dsn=protocol_dsn,
        storage_connection_string=stack.storage_connection_string,
        retry_base_seconds=0,
        slot_wait_seconds=0.05,
    )


@pytest.fixture
def world(pool: Database, settings: Settings) -> Iterator[World]:
    """A deployment without jobs; whatever a test did to it, no rule of the protocol may be broken at its end."""
    with pool.connection() as conn:
        conn.execute("TRUNCATE app.jobs, app.tasks, app.poison, geo.effects")
        conn.execute("UPDATE app.sweep SET swept_at = 'epoch'")
    yield World(settings, pool)
    with pool.connection() as conn:
        assert invariants.broken(conn) == []


def prepared_database(stack: Stack, name: str) -> str:
    """Make a migrated database with a table for the effects of test handlers."""
    dsn = new_database(stack, name)
    migrate(dsn)
    add_effects(dsn)
    return dsn


def add_effects(dsn: str) -> None:
    """Make the table that `leave_effect` writes to."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS geo.effects (task_id text, attempt integer)")


def new_database(stack: Stack, name: str) -> str:
    """Make an empty database on the stack's server and give its URI."""
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return stack.postgres_dsn.rpartition("/")[0] + f"/{name}"
