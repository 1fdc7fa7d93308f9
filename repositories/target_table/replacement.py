"""The end of a load: its staging table takes the target's place, or its rows replace the target's, or are added.

All of it happens in the transaction that has the locks, so readers see the old table until that transaction commits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import errors, sql

from repositories.identifiers import GEOMETRY_INDEX, KEY, fit_name, key_name
from repositories.postgres import Connection
from repositories.target_table.statements import Table, column_list, query, run
from schema.errors import PermanentError

OUR_COMMENT = "Loaded by Geostage"
_OURS = (
    f"^{OUR_COMMENT}: "
    r"(.*; job \S+; .*; \d{4}-\d\d-\d\dT[\d:]{8}\+00:00|column ['\"].*['\"] of the file"
    r"|number of the row in the file, from 1|geometries in \S+)$"
)
"""Comments as a load writes them, which the next one replaces. Others are people's, those to which people have added
words among them, and stay."""


@dataclass(frozen=True)
class Comments:
    """Where a table and its columns come from, as the database will say."""

    table: str
    columns: Mapping[str, str]
    """By name, id and geom too."""


def replace(conn: Connection, staging: Table, target: Table, comments: Comments, *, exists: bool) -> None:
    """Put the staging table in the target's place, with the privileges, policies, comments and owner of the old one.

    Raises PermanentError naming what depends on the old table, or what cannot be set on the new one.
    """
    privileges: list[str] = []
    if exists:
        # Written down before the old table goes, and run when the new one has its name: an expression of a policy may
        # name the table itself, and would mean the old one before.
        facts = {"table": target.regclass, "columns": list(comments.columns), "ours": _OURS}
        privileges = [str(row["statement"]) for row in run(conn, "list_privileges", facts)]
        _drop(conn, target)
    run(conn, "move_to_schema", table=staging.quoted, schema=sql.Identifier(target.schema))
    moved = Table(target.schema, staging.name)
    for suffix in (KEY, GEOMETRY_INDEX):
        index = sql.Identifier(target.schema, fit_name(moved.name, suffix))
        run(conn, "rename_index", index=index, name=_free_name(conn, target, suffix))
    row = run(conn, "find_sequence", {"table": moved.regclass}).fetchone()
    if row and row["name"]:
        # The catalog returns the sequence's name quoted where it has to be.
        run(conn, "rename_sequence", sequence=sql.SQL(row["name"]), name=_free_name(conn, target, "_id_seq"))
    run(conn, "rename_table", table=moved.quoted, name=sql.Identifier(target.name))
    _comment(conn, target, comments)
    copy_privileges(conn, target, privileges)


def replace_rows(conn: Connection, staging: Table, target: Table, columns: Sequence[str], comments: Comments) -> None:
    """Replace the rows of a table that others depend on, by id.

    `columns` are all but id. Raises PermanentError when a foreign key forbids it.
    """
    # A swap would take the table away from views and foreign keys that depend on it. A row that keeps its id keeps the
    # rows of other tables that refer to it.
    tables = {"table": target.quoted, "staging": staging.quoted}
    try:
        run(conn, "delete_missing_rows", **tables)
        run(conn, "update_rows", **tables, columns=column_list(columns), values=column_list(columns, "s."))
        run(conn, "insert_new_rows", **tables, columns=column_list(["id", *columns]))
    except errors.IntegrityError as exc:
        raise PermanentError(
            f"The rows of {target} cannot be replaced: {_first_line(exc)}.",
            remediation="Remove the rows that refer to rows which the file no longer has, and submit the job again.",
            code="rows_are_referenced",
        ) from exc
    run(conn, "restart_identity", {"table": target.regclass}, table=target.quoted)
    run(conn, "analyze", table=target.quoted)
    _comment(conn, target, comments)


def append(conn: Connection, staging: Table, target: Table, columns: Sequence[str]) -> None:
    """Add the staged rows to the target, in the order of the source, and take statistics.

    `columns` are all but id: the rows get new numbers, which follow those of the target.
    """
    run(conn, "append_rows", table=target.quoted, staging=staging.quoted, columns=column_list(columns))
    run(conn, "analyze", table=target.quoted)


def replace_rejects(conn: Connection, staging: Table, target: Table, *, any_rows: bool) -> None:
    """Put the rejected rows of this load in the place of those of the load before; if it has none, drop those."""
    _drop(conn, target)
    if not any_rows:
        return
    run(conn, "add_reject_key", table=staging.quoted, name=sql.Identifier(key_name(staging.name)))
    run(conn, "move_to_schema", table=staging.quoted, schema=sql.Identifier(target.schema))
    index = sql.Identifier(target.schema, key_name(staging.name))
    run(conn, "rename_index", index=index, name=_free_name(conn, target, KEY))
    moved = Table(target.schema, staging.name)
    run(conn, "rename_table", table=moved.quoted, name=sql.Identifier(target.name))


def copy_privileges(conn: Connection, table: Table, statements: Sequence[str]) -> None:
    """Set on a table what people had set on the one that it replaced.

    Raises PermanentError when the new table does not allow it.
    """
    for statement in statements:
        try:
            # As bytes: a % in a policy or a comment must not be taken for a placeholder.
            conn.execute(statement.encode())
        except (errors.UndefinedColumn, errors.UndefinedFunction, errors.DatatypeMismatch) as exc:
            raise PermanentError(
                f"{table} has a row policy that needs a column which the file does not have: {_first_line(exc)}.",
                remediation="Change or drop the policy, or load the file into another table.",
                code="policy_needs_column",
            ) from exc
        except errors.InsufficientPrivilege as exc:
            raise PermanentError(
                f"The privileges, policies, comments or owner of {table} cannot be set on the new table: "
                f"{_first_line(exc)}.",
                remediation="Grant Geostage's database role that right, or load the file into another table.",
                code="target_forbidden",
            ) from exc


def _drop(conn: Connection, table: Table) -> None:
    try:
        run(conn, "drop_table", table=table.quoted)
    except errors.DependentObjectsStillExist as exc:
        # Things that list_dependents does not look for: functions with the table's row type, columns of that type.
        detail = (exc.diag.message_detail or str(exc)).replace("\n", "; ")
        raise PermanentError(
            f"{table} cannot be replaced, because other objects depend on it: {detail}.",
            remediation="Drop what depends on it and create it again afterwards, or load the file into another table.",
            code="table_has_dependents",
        ) from exc


def _free_name(conn: Connection, table: Table, suffix: str) -> sql.Identifier:
    """Name a part of a table, as fit_name does, with a number where another table or index has that name."""
    names = [fit_name(table.name, suffix), *(fit_name(table.name, f"_{number}{suffix}") for number in range(2, 100))]
    rows = run(conn, "list_taken_names", {"schema": table.schema, "names": names})
    taken = {table.name, *(row["name"] for row in rows)}
    return sql.Identifier(next(name for name in names if name not in taken))


def _comment(conn: Connection, table: Table, comments: Comments) -> None:
    def ours(text: str) -> sql.Literal:
        return sql.Literal(f"{OUR_COMMENT}: {text}")

    kept = {row["name"] for row in run(conn, "list_commented", {"table": table.regclass, "ours": _OURS})}
    statements: list[sql.Composable] = []
    if None not in kept:
        statements.append(query("comment_on_table", table=table.quoted, text=ours(comments.table)))
    for name in comments.columns.keys() - kept:
        parts = {"column": sql.Identifier(name), "text": ours(comments.columns[name])}
        statements.append(query("comment_on_column", table=table.quoted, **parts))
    # One round trip for all columns, since readers may be waiting.
    conn.execute(sql.SQL("; ").join(statements))


def _first_line(exc: Exception) -> str:
    return str(exc).splitlines()[0]
