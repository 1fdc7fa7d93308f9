"""Target tables: made beside the one that is served, filled by COPY, and swapped in or added whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import psycopg
from psycopg import errors, sql
from psycopg.rows import DictRow

from repositories.identifiers import GEOMETRY_INDEX, KEY, fit_name, key_name
from repositories.postgres import Connection, Statements
from schema.errors import PermanentError

LOCK_MS = 5_000
"""The swap waits this long for its lock, and is tried again later."""

LockMode = Literal["ROW EXCLUSIVE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"]

REJECT_COLUMNS = ("row_number", "reason", "raw_row")


_sql = Statements("target_table/features")


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
        parts = (part.replace('"', '""') for part in (self.schema, self.name))
        return '"{}"."{}"'.format(*parts)

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class FoundColumn:
    """A column as the database has it."""

    name: str
    type: str
    not_null: bool
    has_default: bool
    identity: str
    generated: bool


@dataclass(frozen=True)
class FoundTable:
    """What bears a target's name."""

    kind: str
    """pg_class.relkind: r for a table, v for a view, ..."""
    owner: str
    is_ours: bool
    """The owner's rights are ours too, so that it can be replaced."""
    may_insert: bool
    columns: tuple[FoundColumn, ...]


def set_limits(conn: Connection, seconds: float, lock_ms: int = LOCK_MS) -> None:
    """Let the statements of this transaction run longer."""
    run(conn, "set_limits", {"statement_ms": str(int(seconds * 1000)), "lock_ms": str(lock_ms)})


def may_create_in(conn: Connection, schema: str) -> bool | None:
    """Tell whether tables may be made in a schema; None when there is no such schema."""
    row = run(conn, "find_schema", {"schema": schema}).fetchone()
    return bool(row["may_create"]) if row else None


def find_table(conn: Connection, table: Table) -> FoundTable | None:
    """Describe what bears a target's name; None when nothing does."""
    row = run(conn, "find_table", {"schema": table.schema, "table": table.name}).fetchone()
    if row is None:
        return None
    return FoundTable(**row, columns=list_columns(conn, table))


def find_type(conn: Connection, table: Table) -> str | None:
    """Tell which kind of type, in PostgreSQL's letters, keeps a table from bearing its name; None when none does."""
    row = run(conn, "find_type", {"schema": table.schema, "table": table.name}).fetchone()
    return str(row["kind"]) if row else None


def list_columns(conn: Connection, table: Table) -> tuple[FoundColumn, ...]:
    """Describe the columns of a table, in order."""
    return tuple(FoundColumn(**column) for column in run(conn, "list_columns", {"table": table.regclass}))


def hold_name(conn: Connection, table: Table, *, shared: bool = False) -> None:
    """Wait until no other job replaces the table (or, unless shared, adds to it); held until the transaction ends."""
    run(conn, "share_target_name" if shared else "lock_target_name", {"name": f"geostage {table}"})


def lock_table(conn: Connection, table: Table, mode: LockMode) -> None:
    """Lock a table until the transaction ends; waits as long as set_limits said."""
    run(conn, "lock_table", table=table.quoted, mode=sql.SQL(mode))


def list_holders(conn: Connection, tables: Sequence[Table]) -> list[str]:
    """Say who else has locks on tables: process, role, application, time."""
    return [row["holder"] for row in run(conn, "list_holders", {"tables": [table.regclass for table in tables]})]


def swap_in(conn: Connection, staging: Table, target: Table, *, old: bool) -> None:
    """Put the staging table in the target's place; readers see the old table until the transaction ends.

    Raises PermanentError naming what depends on the old table.
    """
    if old:
        _drop(conn, target)
    run(conn, "move_to_schema", table=staging.quoted, schema=sql.Identifier(target.schema))
    moved = Table(target.schema, staging.name)
    _rename_parts(conn, moved, target)
    run(conn, "rename_table", table=moved.quoted, name=sql.Identifier(target.name))


def _drop(conn: Connection, table: Table) -> None:
    try:
        run(conn, "drop_table", table=table.quoted)
    except errors.DependentObjectsStillExist as exc:
        detail = (exc.diag.message_detail or str(exc)).replace("\n", "; ")
        raise PermanentError(
            f"{table} cannot be replaced, because other objects depend on it: {detail}.",
            remediation="Drop what depends on it and make it again afterwards, or load the file into another table.",
            code="table_has_dependents",
        ) from exc


def append(conn: Connection, staging: Table, target: Table, columns: Sequence[str]) -> None:
    """Add the staged rows to the target, in the order of the source, and take statistics."""
    run(conn, "append_rows", table=target.quoted, staging=staging.quoted, columns=column_list(columns))
    run(conn, "analyze", table=target.quoted)


def replace_rejects(conn: Connection, staging: Table, target: Table, *, any_rows: bool) -> None:
    """Put the rejected rows of this load in the place of those of the one before."""
    hold_name(conn, target)
    _drop(conn, target)
    if not any_rows:
        return
    run(conn, "add_reject_key", table=staging.quoted, name=sql.Identifier(key_name(staging.name)))
    run(conn, "move_to_schema", table=staging.quoted, schema=sql.Identifier(target.schema))
    moved = Table(target.schema, staging.name)
    index = sql.Identifier(target.schema, key_name(staging.name))
    run(conn, "rename_index", index=index, name=_free_name(conn, target, KEY))
    run(conn, "rename_table", table=moved.quoted, name=sql.Identifier(target.name))


def _rename_parts(conn: Connection, moved: Table, target: Table) -> None:
    for suffix in (KEY, GEOMETRY_INDEX):
        index = sql.Identifier(target.schema, fit_name(moved.name, suffix))
        run(conn, "rename_index", index=index, name=_free_name(conn, target, suffix))
    row = run(conn, "find_sequence", {"table": moved.regclass}).fetchone()
    if row and row["name"]:
        # The catalog gives the sequence's name quoted where it has to be.
        run(conn, "rename_sequence", sequence=sql.SQL(row["name"]), name=_free_name(conn, target, "_id_seq"))


def _free_name(conn: Connection, table: Table, suffix: str) -> sql.Identifier:
    """Name a part of a table, as fit_name does, with a number where another table or index has that name."""
    names = [fit_name(table.name, suffix), *(fit_name(table.name, f"_{number}{suffix}") for number in range(2, 100))]
    rows = run(conn, "list_taken_names", {"schema": table.schema, "names": names})
    taken = {table.name, *(row["name"] for row in rows)}
    return sql.Identifier(next(name for name in names if name not in taken))


def column_list(columns: Sequence[str]) -> sql.Composed:
    """List columns for a statement."""
    return sql.SQL(", ").join(sql.Identifier(name) for name in columns)


def query(title: str, /, **parts: sql.Composable) -> sql.Composed | sql.SQL:
    """Give a statement of features.sql with its identifiers filled in."""
    statement = _sql[title]
    return statement.format(**parts) if parts else statement


def run(
    conn: Connection, title: str, params: dict[str, Any] | None = None, /, **parts: sql.Composable
) -> psycopg.Cursor[DictRow]:
    """Run a statement of features.sql with its identifiers filled in."""
    return conn.execute(query(title, **parts), params)
