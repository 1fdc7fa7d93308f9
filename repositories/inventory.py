"""The inventory: what the database says of its tables, its load and its versions; nothing in here writes."""

from __future__ import annotations

from typing import Any

from psycopg import sql

from repositories.postgres import Connection, Statements
from schema.jobs import Json

_sql = Statements("inventory")


def one(conn: Connection, name: str, **params: Any) -> Json:
    """Run a statement of inventory.sql and give its first row; empty when there is none."""
    return _sql.first(conn, name, **params) or {}


def many(conn: Connection, name: str, **params: Any) -> list[Json]:
    """Run a statement of inventory.sql and give its rows."""
    return _sql.rows(conn, name, **params)


def exact_bounds(conn: Connection, schema: str, table: str, column: str) -> Json:
    """Read all geometries of a table and give their bounds, in the units of its CRS."""
    statement = _sql["exact_bounds"].format(column=sql.Identifier(column), table=sql.Identifier(schema, table))
    return conn.execute(statement).fetchone() or {}
