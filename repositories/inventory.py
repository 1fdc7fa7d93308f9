"""The inventory: what PostgreSQL reports about tables, load and versions; read only."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from repositories.postgres import Connection, Statements
from schema.jobs import Json

_sql = Statements("inventory")


def one(conn: Connection, name: str, **params: Any) -> Json:
    """Run a statement of inventory.sql and return its first row, empty if there is none."""
    return _sql.first(conn, name, **params) or {}


def many(conn: Connection, name: str, **params: Any) -> list[Json]:
    """Run a statement of inventory.sql and return its rows."""
    return _sql.rows(conn, name, **params)


def exact_bounds(conn: Connection, schema: str, table: str, column: str) -> Json:
    """Return the bounds of a geometry column in the units of its CRS. Reads the whole table."""
    statement = _sql["exact_bounds"].format(column=sql.Identifier(column), table=sql.Identifier(schema, table))
    return conn.execute(statement).fetchone() or {}
