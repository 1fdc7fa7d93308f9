"""Whether a load fits what the database has under the names of its tables. Pure: the state is passed in."""

from __future__ import annotations

from collections.abc import Sequence

from repositories.target_table.inspection import ExistingColumn, Name, Relation, TargetState
from schema.clipping import listed
from schema.errors import PermanentError
from services.vector.load.plan import LoadPlan
from services.vector.load.stages import Options

_REJECTS_DEFINITION = [("row_number", "bigint"), ("reason", "text"), ("raw_row", "jsonb")]
_RELATIONS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "p": "a partitioned table"}
_TYPES = {"e": "an enum type", "d": "a domain", "r": "a range type"}
_SHORT_NAMES = {
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "character varying": "text",
}
_WIDER = {
    # As text, integers and booleans are what they are in the file.
    "smallint": ("integer", "bigint", "numeric", "double precision", "text"),
    "integer": ("bigint", "numeric", "double precision", "text"),
    # A double holds integers exactly only up to 2**53.
    "bigint": ("numeric", "text"),
    "boolean": ("text",),
    "real": ("double precision",),
}
"""Types of a table that take every value of a file's type as it is."""
_SHOWN = 20
"""Faults, or columns, that one message lists."""


def fixed_relation(options: Options, state: TargetState) -> Relation | None:
    """Return the table whose columns must stay as they are: rows are added to it, or other objects depend on it."""
    return state.target.relation if options.appends or state.dependents else None


def check(plan: LoadPlan, state: TargetState) -> None:
    """Check that the load can be published.

    Called twice: by preprocess, so that nothing is loaded in vain, and under the locks of publish, since people may
    have changed the tables in between.

    Raises
    ------
    PermanentError
        target_forbidden, target_name_taken, rejects_name_taken, target_not_a_table, columns_differ or
        table_has_dependents.
    """
    if not state.may_create:
        problem = "does not exist" if state.may_create is None else "is not open to Geostage's database role"
        schema = plan.target.schema
        raise PermanentError(
            f"The schema {schema} {problem}.",
            remediation=f"Ask the database's owner for a schema {schema} with CREATE and USAGE for that role.",
            code="target_forbidden",
        )
    for name in (state.target, state.rejects):
        if name.type_kind:
            # PostgreSQL makes a composite type of the name of every table.
            raise PermanentError(
                f"{name.table} is the name of {_TYPES.get(name.type_kind, 'a type')}, and a table cannot have it too.",
                remediation="Choose another target_table, or rename the type.",
                code="target_name_taken",
            )
    _check_rejects(state.rejects)
    if state.target.relation:
        _check_existing(plan, state.target.relation)


def _check_rejects(rejects: Name) -> None:
    """Check that what has the name of the rejected rows' table is such a table, and can be dropped."""
    found = rejects.relation
    if found is None:
        return
    is_ours = found.kind == "r" and found.definition == _REJECTS_DEFINITION and found.is_ours
    if is_ours and not found.dependents:
        return
    because = f" (these depend on it: {'; '.join(found.dependents)})" if found.dependents else ""
    raise PermanentError(
        f"{rejects.table} is needed for the rows that are not loaded, but a relation of that name exists and cannot be "
        f"dropped{because}.",
        remediation=f"Rename or drop {rejects.table} or what depends on it, or choose another target_table.",
        code="rejects_name_taken",
    )


def _check_existing(plan: LoadPlan, found: Relation) -> None:
    if found.kind != "r":
        raise PermanentError(
            f"{plan.target} is not an ordinary table but {_RELATIONS.get(found.kind, 'another kind of relation')}.",
            remediation=f"Choose another target_table, or drop {plan.target}.",
            code="target_not_a_table",
        )
    if not (found.may_insert if plan.options.appends else found.is_ours):
        action = "add rows to" if plan.options.appends else "replace"
        raise PermanentError(
            f"{plan.target} belongs to {found.owner}, and Geostage's database role may not {action} it.",
            remediation="Choose another target_table, or ask its owner to grant the role what is missing.",
            code="target_forbidden",
        )
    if plan.options.appends:
        _check_columns(plan, found)
    elif found.dependents:
        _check_unchanged(plan, found)


def _check_columns(plan: LoadPlan, found: Relation) -> None:
    """Check that each column of the file has one in the table that takes its values."""
    wanted = [*((column.name, column.pg_type) for column in plan.columns), ("geom", plan.geometry_column_type)]
    because = {column.name: f" ({column.because})" for column in plan.columns if column.because}
    existing = {column.name: column for column in found.columns}
    faults = [
        fault for name, kind in wanted if (fault := _fault(name, kind, existing.get(name), because.get(name, "")))
    ]
    given = {name for name, _ in wanted}
    faults += [
        f"{column.name} {column.type} of the table is NOT NULL without a default, and the file has no such column"
        for column in found.columns
        if column.not_null and not column.has_default and column.name not in given
    ]
    if faults:
        raise PermanentError(
            f"The columns do not fit {plan.target}: {'; '.join(faults[:_SHOWN])}. "
            f"The file has ({_define(wanted)}); the table has ({_define(found.definition)}).",
            remediation="Rename or convert the columns of the file, or load it with load_method replace.",
            code="columns_differ",
        )


def _fault(name: str, kind: str, column: ExistingColumn | None, because: str) -> str | None:
    if column is None:
        return f"{name} {kind} is not in the table"
    if column.generated:
        return f"{name} is computed by the table"
    existing = _SHORT_NAMES.get(column.type, column.type)
    takes_geometry = (existing == kind.replace("(", "(Multi"), existing.startswith("geometry(Geom"))
    if existing == kind or existing in _WIDER.get(kind, ()) or (name == "geom" and any(takes_geometry)):
        return None
    return f"{name} is {kind} in the file{because} and {existing} in the table"


def _check_unchanged(plan: LoadPlan, found: Relation) -> None:
    """Check that a table that others depend on would keep its columns."""
    # As sets: a table of the same columns in another order is replaced row by row all the same.
    existing = {(name, _SHORT_NAMES.get(kind, kind)) for name, kind in found.definition}
    given = {("id", "bigint"), *((column.name, column.pg_type) for column in plan.columns)}
    given.add(("geom", plan.geometry_column_type))
    if existing == given:
        return
    changes = [f"{name} {kind} is new" for name, kind in sorted(given - existing)]
    changes += [f"{name} {kind} is gone" for name, kind in sorted(existing - given)]
    raise PermanentError(
        f"{plan.target} cannot be replaced by a table with other columns ({'; '.join(changes[:_SHOWN])}), "
        f"because these depend on it: {'; '.join(found.dependents)}.",
        remediation="Drop what depends on it and create it again afterwards, or load the file into another table.",
        code="table_has_dependents",
    )


def _define(columns: Sequence[tuple[str, str]]) -> str:
    return listed(f"{name} {kind}" for name, kind in columns)
