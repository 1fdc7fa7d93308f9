"""Targets: what bears the name of a table that is to be loaded, and whether the load fits it."""

from __future__ import annotations

from collections.abc import Sequence

from repositories.identifiers import fit_name
from repositories.postgres import Connection
from repositories.target_table import features, replacement
from repositories.target_table.features import FoundColumn, FoundTable, Table
from schema.errors import PermanentError
from schema.words import listed
from services.vector.load.names import REJECTS_SUFFIX
from services.vector.load.plan import LoadPlan, Options


def target_of(plan: LoadPlan) -> Table:
    """Name the table that the job loads."""
    return Table(plan.options.target_schema, plan.options.target_table)


def find_fixed_target(conn: Connection, options: Options) -> FoundTable | None:
    """Find the table whose columns must stay as they are: rows are added to it, or other objects depend on it."""
    target = Table(options.target_schema, options.target_table)
    found = features.find_table(conn, target)
    if found and (options.load_method == "append" or replacement.list_dependents(conn, target)):
        return found
    return None


def check_target(conn: Connection, plan: LoadPlan) -> FoundTable | None:
    """Look at what bears the target's name. Raises PermanentError when the load could not be published."""
    target = target_of(plan)
    may_create = features.may_create_in(conn, target.schema)
    if not may_create:
        problem = "does not exist" if may_create is None else "is not open to Geostage's database role"
        raise PermanentError(
            f"The schema {target.schema} {problem}.",
            remediation=f"Ask the database's owner for a schema {target.schema} with CREATE and USAGE for that role.",
            code="target_forbidden",
        )
    found = features.find_table(conn, target)
    for table in (target, rejects_of(plan)):
        _check_name(conn, table)
    _check_rejects(conn, rejects_of(plan))
    if found is None:
        return None
    if found.kind != "r":
        raise PermanentError(
            f"{target} is no plain table ({_KINDS.get(found.kind, 'another kind of relation')}).",
            remediation="Choose another target_table, or drop what bears this name.",
            code="target_not_a_table",
        )
    appends = plan.options.load_method == "append"
    if not (found.may_insert if appends else found.is_ours):
        raise PermanentError(
            f"{target} belongs to {found.owner}, and Geostage's database role may not "
            f"{'add rows to' if appends else 'replace'} it.",
            remediation="Choose another target_table, or ask its owner to grant the role what is missing.",
            code="target_forbidden",
        )
    if appends:
        check_columns(plan, found)
    else:
        _check_dependents(conn, plan, found)
    return found


def _check_name(conn: Connection, table: Table) -> None:
    """Refuse a name that a type has: a table makes a type of its own name."""
    kind = features.find_type(conn, table)
    if kind:
        raise PermanentError(
            f"{table} is the name of {_TYPES.get(kind, 'a type')}, and a table cannot have it as well.",
            remediation="Choose another target_table, or rename the type.",
            code="target_name_taken",
        )


_TYPES = {"e": "an enum type", "d": "a domain", "r": "a range type"}


def _check_rejects(conn: Connection, rejects: Table) -> None:
    """Refuse to drop what bears the name of the rejected rows' table, but is none."""
    found = features.find_table(conn, rejects)
    if found is None:
        return
    dependents: tuple[replacement.Dependent, ...] = ()
    if found.kind == "r" and [(column.name, column.type) for column in found.columns] == _REJECTS_DEFINITION:
        dependents = replacement.list_dependents(conn, rejects)
        if found.is_ours and not dependents:
            return
    names = f" (these depend on it: {'; '.join(one.name for one in dependents)})" if dependents else ""
    raise PermanentError(
        f"{rejects} is needed for the rows that are not loaded, but what bears this name cannot be dropped{names}.",
        remediation=f"Rename or drop {rejects} or what depends on it, or choose another target_table.",
        code="rejects_name_taken",
    )


_REJECTS_DEFINITION = [("row_number", "bigint"), ("reason", "text"), ("raw_row", "jsonb")]
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "p": "a partitioned table"}


def check_columns(plan: LoadPlan, found: FoundTable) -> None:
    """Compare the columns to append with those of the table. Raises PermanentError with both definitions."""
    wanted = [*((column.name, column.pg_type) for column in plan.columns), ("geom", geometry_column_type(plan))]
    there = {column.name: column for column in found.columns}
    faults = [fault for name, kind in wanted if (fault := _fault(name, kind, there.get(name)))]
    given = {name for name, _ in wanted}
    faults += [
        f"{column.name} {column.type} of the table may not be NULL, and the file has no such column"
        for column in found.columns
        if column.not_null and not column.has_default and column.name not in given
    ]
    if faults:
        raise PermanentError(
            f"The columns do not fit {plan.options.table}: {'; '.join(faults[:20])}. "
            f"The file has ({_define(wanted)}); the table has ({_define([(c.name, c.type) for c in found.columns])}).",
            remediation="Rename or convert the columns of the file, or load it with load_method replace.",
            code="columns_differ",
        )


def _check_dependents(conn: Connection, plan: LoadPlan, found: FoundTable) -> None:
    """Refuse to change the columns of a table that others depend on."""
    dependents = replacement.list_dependents(conn, target_of(plan))
    there = {(column.name, _short(column.type)) for column in found.columns}
    given = {("id", "bigint"), *((column.name, column.pg_type) for column in plan.columns)}
    given.add(("geom", geometry_column_type(plan)))
    if not dependents or there == given:
        return
    changes = [f"{name} {kind} is new" for name, kind in sorted(given - there)]
    changes += [f"{name} {kind} is gone" for name, kind in sorted(there - given)]
    raise PermanentError(
        f"{plan.options.table} cannot be replaced by a table with other columns ({'; '.join(changes[:20])}), "
        f"because these depend on it: {'; '.join(dependent.name for dependent in dependents)}.",
        remediation="Drop what depends on it and make it again afterwards, or load the file into another table.",
        code="table_has_dependents",
    )


def _short(kind: str) -> str:
    return _SHORT_NAMES.get(kind, kind)


def geometry_column_type(plan: LoadPlan) -> str:
    """Write the type of the plan's geom column as PostgreSQL does."""
    return f"geometry({plan.geometry_type},{plan.srid})"


def _fault(name: str, kind: str, column: FoundColumn | None) -> str | None:
    if column is None:
        return f"{name} {kind} is not in the table"
    if column.generated:
        return f"{name} is computed by the table"
    there = _short(column.type)
    if name == "geom" and (there == kind or there == kind.replace("(", "(Multi") or there.startswith("geometry(Geom")):
        return None
    if there == kind or there in _WIDER.get(kind, ()):
        return None
    return f"{name} is {kind} in the file and {there} in the table"


_SHORT_NAMES = {
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "character varying": "text",
}

_WIDER = {
    "smallint": ("integer", "bigint", "numeric", "double precision"),
    "integer": ("bigint", "numeric", "double precision"),
    "bigint": ("numeric",),
    "real": ("double precision",),
}
"""Types of a table that take every value of a file's type as it is."""


def _define(columns: Sequence[tuple[str, str]]) -> str:
    return listed(f"{name} {kind}" for name, kind in columns)


def rejects_of(plan: LoadPlan) -> Table:
    """Name the table of the rows that were not loaded."""
    return Table(plan.options.target_schema, fit_name(plan.options.target_table, REJECTS_SUFFIX))
