"""What can be wrong with a question about a table, and what its sender can do about it."""

from __future__ import annotations

from collections.abc import Sequence

from schema.errors import PermanentError
from services.names import near_names


def table_not_found(schema: str, table: str, known: Sequence[str]) -> PermanentError:
    """Make the error for a table that a schema does not have; `known` are names that it has."""
    near = near_names(table, known)
    remedy = f"Did you mean {near}?" if near else "get_database_summary lists the tables of the target schemas."
    return PermanentError(f"Schema {schema!r} has no table {table!r}.", remediation=remedy, code="table_not_found")
