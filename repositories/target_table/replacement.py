"""What a table that replaces another one takes over: grants, policies, comments, owner; and what depends on the old."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from psycopg import errors, sql

from repositories.postgres import Connection
from repositories.target_table.features import Table, query, run
from schema.errors import PermanentError

OUR_COMMENT = "Loaded by Geostage"
"""Comments that begin so are replaced with each load; others are people's, and stay."""


@dataclass(frozen=True)
class Dependent:
    """Something that needs the old table."""

    name: str
    is_key: bool
    """A foreign key of another table."""


def list_dependents(conn: Connection, table: Table) -> tuple[Dependent, ...]:
    """Name what would be lost if the table were dropped."""
    return tuple(Dependent(**row) for row in run(conn, "list_dependents", {"table": table.regclass}))


def list_inheritance(conn: Connection, table: Table, columns: Sequence[str]) -> list[str]:
    """Write down what people have set on a table, as statements to be run on the table that replaces it."""
    facts = {"table": table.regclass, "columns": list(columns), "ours": OUR_COMMENT}
    return [str(row["statement"]) for row in run(conn, "list_inheritance", facts)]


def inherit(conn: Connection, table: Table, statements: Sequence[str]) -> None:
    """Run what list_inheritance gave. Raises PermanentError when the new table does not allow it."""
    for statement in statements:
        try:
            conn.execute(statement.encode())
        except (errors.UndefinedColumn, errors.UndefinedFunction, errors.DatatypeMismatch) as exc:
            raise PermanentError(
                f"{table} has a row policy that needs a column which the file does not have: {_first_line(exc)}.",
                remediation="Change or drop the policy, or load the file into another table.",
                code="policy_needs_column",
            ) from exc
        except errors.InsufficientPrivilege as exc:
            raise PermanentError(
                f"What is set on {table} cannot be kept on its replacement: {_first_line(exc)}.",
                remediation="Give Geostage's database role that right, or load the file into another table.",
                code="target_forbidden",
            ) from exc


def comment(conn: Connection, table: Table, text: str, columns: Mapping[str, str]) -> None:
    """Say on the table and its columns where they come from; one round trip, since readers may be waiting."""
    comments = [query("comment_on_table", table=table.quoted, text=_ours(text))]
    for name, origin in columns.items():
        parts = {"column": sql.Identifier(name), "text": _ours(origin)}
        comments.append(query("comment_on_column", table=table.quoted, **parts))
    conn.execute(sql.SQL("; ").join(comments))


def replace_rows(conn: Connection, staging: Table, target: Table, columns: Sequence[str]) -> None:
    """Replace the rows of a table that others depend on, by id; readers see the old ones until the transaction ends.

    The caller has the table's lock. Raises PermanentError when a foreign key forbids it.
    """
    names = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
    values = sql.SQL(", ").join(sql.SQL("s.{}").format(sql.Identifier(name)) for name in columns)
    all_names = sql.SQL("id, {}").format(names)
    tables = {"table": target.quoted, "staging": staging.quoted}
    try:
        run(conn, "delete_missing_rows", **tables)
        run(conn, "update_rows", **tables, columns=names, values=values)
        run(conn, "insert_new_rows", **tables, columns=all_names)
    except errors.IntegrityError as exc:
        raise PermanentError(
            f"The rows of {target} cannot be replaced: {_first_line(exc)}.",
            remediation="Remove the rows that refer to rows which the file no longer has, and submit the job again.",
            code="rows_are_referenced",
        ) from exc
    run(conn, "restart_identity", {"table": target.regclass}, table=target.quoted)
    run(conn, "analyze", table=target.quoted)


def _ours(text: str) -> sql.Literal:
    return sql.Literal(f"{OUR_COMMENT}: {text}")


def _first_line(exc: Exception) -> str:
    return str(exc).splitlines()[0]
