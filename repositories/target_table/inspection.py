"""What the database has under the names of a target and of its table of rejected rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from repositories.postgres import Connection
from repositories.target_table.statements import Table, run


@dataclass(frozen=True)
class ExistingColumn:
    """A column as the database has it."""

    name: str
    type: str
    not_null: bool
    has_default: bool
    """It has a default, or is an identity column."""
    generated: bool


@dataclass(frozen=True)
class Relation:
    """A table, view or other relation as the database has it."""

    kind: str
    """pg_class.relkind: r for a table, v for a view, ..."""
    owner: str
    is_ours: bool
    """The role has the owner's rights, so that the relation can be replaced."""
    may_insert: bool
    columns: tuple[ExistingColumn, ...]
    dependents: tuple[str, ...]
    """What would be lost with it, such as "view geo.roads_by_owner"."""

    @property
    def definition(self) -> list[tuple[str, str]]:
        """Name and type of each column, in order."""
        return [(column.name, column.type) for column in self.columns]


@dataclass(frozen=True)
class Name:
    """What has a name in the database."""

    table: Table
    relation: Relation | None
    type_kind: str | None
    """pg_type.typtype of a type of that name that is not a table's: e enum, d domain, r range; None for none."""


@dataclass(frozen=True)
class TargetState:
    """The part of the database that a load is about to change."""

    may_create: bool | None
    """Whether tables may be made in the target's schema; None when there is no such schema."""
    target: Name
    rejects: Name

    @property
    def exists(self) -> bool:
        """Whether something has the target's name."""
        return self.target.relation is not None

    @property
    def dependents(self) -> tuple[str, ...]:
        """What would be lost with the target."""
        return self.target.relation.dependents if self.target.relation else ()


def inspect(conn: Connection, target: Table, rejects: Table) -> TargetState:
    """Return what a load into the target would find.

    Only under the locks of `lock` does it stay true: without them each statement sees what was committed before it.
    """
    schema = run(conn, "find_schema", {"schema": target.schema}).fetchone()
    may_create = bool(schema["may_create"]) if schema else None
    return TargetState(may_create, _inspect_name(conn, target), _inspect_name(conn, rejects))


def _inspect_name(conn: Connection, table: Table) -> Name:
    names = {"schema": table.schema, "table": table.name}
    # Every table makes a row type of its own name, so an enum or a domain of that name is in its way.
    type_row = run(conn, "find_type", names).fetchone()
    type_kind = str(type_row["kind"]) if type_row else None
    row = run(conn, "find_relation", names).fetchone()
    if row is None:
        return Name(table, None, type_kind)
    # By oid: a relation that goes between these statements has no columns then, instead of being an error.
    oid = {"oid": row.pop("oid")}
    columns = tuple(ExistingColumn(**column) for column in run(conn, "list_columns", oid))
    dependents = tuple(str(dependent["name"]) for dependent in run(conn, "list_dependents", oid))
    return Name(table, Relation(**row, columns=columns, dependents=dependents), type_kind)


def list_lock_holders(conn: Connection, tables: Sequence[Table]) -> list[str]:
    """Describe who else has locks on tables: process, role, application, time."""
    return [row["holder"] for row in run(conn, "list_holders", {"tables": [table.regclass for table in tables]})]
