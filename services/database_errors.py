"""What can be wrong with a question about a table, and what its sender can do about it."""

from __future__ import annotations

from collections.abc import Sequence

from repositories.catalog.items import LOCK_SECONDS, TableLocked
from schema.errors import PermanentError
from schema.words import clip
from services.names import near_names


def table_not_found(schema: str, table: str, known: Sequence[str]) -> PermanentError:
    """Make the error for a table that a schema does not have; `known` are names that it has."""
    near = near_names(table, known)
    remedy = f"Did you mean {near}?" if near else "get_database_summary lists the tables of the target schemas."
    return PermanentError(
        f"Schema {schema!r} has no table {clip(table)!r}.", remediation=remedy, code="table_not_found"
    )


def table_locked(schema: str, table: str, holders: Sequence[str]) -> TableLocked:
    """Make the error for a table that nobody may read now; `holders` are those who have locks on it, in words."""
    return TableLocked(
        f"The table {schema}.{table} is locked; it was waited for {LOCK_SECONDS} s. "
        f"In the way: {'; '.join(holders[:5]) or 'another transaction'}.",
        remediation="End that transaction, or wait for its end, and ask again.",
    )
