"""Connections to PostgreSQL, and the named statements that run on them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import psycopg
from psycopg import sql
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from schema.errors import TransientError, Unavailable

Connection: TypeAlias = psycopg.Connection[DictRow]

POOL_SIZE = 20
CONNECT_SECONDS = 5
# Names of ours in PostgreSQL's message: a missing table of a user is another error.
_OURS = re.compile(r'"(?:(?:app|geostage_migrations|pgstac)\.|geo\.(?:tiles|tiling_plans)")')
CHECK_AFTER_SECONDS = 1
"""A connection that was idle for longer is tested before it is used."""
_used_at: WeakKeyDictionary[Connection, float] = WeakKeyDictionary()
_OPTIONS = {
    # "Lock, act, look" are statements of their own, and each must see what was committed before it.
    "default_transaction_isolation": "read committed",
    # Statements of loads and searches that may take longer set limits of their own.
    "lock_timeout": "10s",
    "statement_timeout": "30s",
    # A worker that was paused inside a transaction would keep its locks.
    "idle_in_transaction_session_timeout": "60s",
    "timezone": "UTC",
    "search_path": "public",
}


class DatabaseUnavailable(Unavailable):
    """PostgreSQL cannot be reached."""

    code = "database_unavailable"


class DatabaseNotMigrated(Unavailable):
    """The database lacks tables of ours."""

    code = "database_not_migrated"


@cache
def load_queries(name: str) -> Mapping[str, sql.SQL]:
    """Read `<name>.sql` below this folder: statements that each begin with a line `-- statement_name`."""
    text = (Path(__file__).parent / f"{name}.sql").read_text()
    # A comment of one lower-case word is a name; any other comment is text of the statement before it.
    parts = re.split(r"^-- ([a-z][a-z0-9_]*)$", text, flags=re.MULTILINE)
    return {title: sql.SQL(body.strip()) for title, body in zip(parts[1::2], parts[2::2], strict=True)}


class Statements:
    """The statements of one .sql file, run by their names on the connection that is given."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getitem__(self, title: str) -> sql.SQL:
        return load_queries(self._name)[title]

    def execute(self, conn: Connection, title: str, params: Mapping[str, Any]) -> psycopg.Cursor[DictRow]:
        """Run a statement and leave its rows to be fetched."""
        return conn.execute(self[title], params)

    def first(self, conn: Connection, title: str, **params: Any) -> DictRow | None:
        """Run a statement and return its first row."""
        return self.execute(conn, title, params).fetchone()

    def rows(self, conn: Connection, title: str, **params: Any) -> list[DictRow]:
        """Run a statement and return its rows."""
        return self.execute(conn, title, params).fetchall()

    def run(self, conn: Connection, title: str, **params: Any) -> int:
        """Run a statement and return the number of rows that it changed."""
        return self.execute(conn, title, params).rowcount


class Database:
    """A pool of connections to the one database, opened on first use.

    Every connection is pinned to READ COMMITTED and UTC, waits 10 s for a lock at most, runs a statement for 30 s at
    most, and is dropped by the server after 60 s of idling inside a transaction, so that a paused worker frees its
    locks.
    """

    def __init__(self, dsn: str, *, size: int = POOL_SIZE) -> None:
        self._pool: ConnectionPool[Connection] = ConnectionPool(
            dsn,
            # None is kept open: each worker and each of its children has a pool, and a server has few connections.
            min_size=0,
            max_size=size,
            open=False,
            timeout=CONNECT_SECONDS,
            max_idle=60,
            check=_check,
            configure=_configure,
            reset=_note_use,
            kwargs={
                "row_factory": dict_row,
                "connect_timeout": CONNECT_SECONDS,
                "keepalives_idle": 30,
                "keepalives_interval": 10,
                "keepalives_count": 3,
                # At a failover the server vanishes without a word: after a minute without answer the connection ends.
                "tcp_user_timeout": 60_000,
                "application_name": "geostage",
            },
        )

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Yield a connection inside a transaction: committed at the end of the block, rolled back on an exception.

        Raises
        ------
        DatabaseUnavailable
            No connection within 5 s, or the connection broke inside the block.
        DatabaseNotMigrated
            A migration has not been applied.
        """
        with self.connection() as conn, conn.transaction():
            yield conn

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield a connection in autocommit: each statement is its own transaction. Raises DatabaseUnavailable."""
        self._pool.open()
        try:
            with self._pool.connection() as conn:
                yield conn
        except (PoolTimeout, psycopg.OperationalError) as exc:
            # Class 08 is a broken connection, 57P0x a server that shuts down, 53300 one without a connection to spare;
            # without a state the pool or libpq itself gave up.
            if exc.sqlstate is None or exc.sqlstate.startswith(("08", "57P", "53300")):
                raise DatabaseUnavailable(
                    "The database cannot be reached.", remediation="Try again in a few seconds."
                ) from exc
            raise TransientError(
                f"The database did not finish a statement in time: {str(exc).splitlines()[0]}.",
                remediation="It is retried automatically; if it keeps happening, look for long transactions in the "
                "database.",
                code="database_busy",
            ) from exc
        except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedObject) as exc:
            if not _OURS.search(str(exc)):
                raise
            raise DatabaseNotMigrated(
                "The database lacks tables or columns of this version of Geostage.",
                remediation="Run python -m repositories.migrate.",
            ) from exc

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def _configure(conn: Connection) -> None:
    conn.autocommit = True
    conn.execute("SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS t(name, value)",
                 [list(_OPTIONS), list(_OPTIONS.values())])  # fmt: skip


def _note_use(conn: Connection) -> None:
    _used_at[conn] = time.monotonic()


def _check(conn: Connection) -> None:
    # A round trip for each use would double the cost of a claim; a server that went away shows after a pause.
    if time.monotonic() - _used_at.get(conn, 0.0) > CHECK_AFTER_SECONDS:
        ConnectionPool.check_connection(conn)
