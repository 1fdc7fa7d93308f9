"""The statements of statements.sql on target tables, whose names are only known when a job runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import DictRow

from repositories.postgres import Connection, Statements

_statements = Statements("target_table/statements")


@dataclass(frozen=True)
class Table:
    """A table's full name."""

    schema: str
    name: str

    @property
    def quoted(self) -> sql.Identifier:
        """The name for a statement."""
        return sql.Identifier(self.schema, self.name)

    @property
    def regclass(self) -> str:
        """The name as text that PostgreSQL reads as a regclass."""
        # Quoted always: without quotes the cast to regclass would fold the name to lower case.
        parts = (part.replace('"', '""') for part in (self.schema, self.name))
        return '"{}"."{}"'.format(*parts)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def query(title: str, /, **parts: sql.Composable) -> sql.Composed | sql.SQL:
    """Return a statement with its identifiers filled in."""
    statement = _statements[title]
    return statement.format(**parts) if parts else statement


def run(
    conn: Connection, title: str, params: dict[str, Any] | None = None, /, **parts: sql.Composable
) -> psycopg.Cursor[DictRow]:
    """Run a statement with its identifiers filled in, and leave its rows to be fetched."""
    return conn.execute(query(title, **parts), params)


def column_list(columns: Sequence[str], prefix: str = "") -> sql.Composed:
    """List columns for a statement, each behind the alias of its table if there is a prefix, such as "s."."""
    return sql.SQL(", ").join(sql.SQL(prefix) + sql.Identifier(name) for name in columns)
