"""Errors of requests about tables: those that do not exist, and those that are locked."""

from __future__ import annotations

from collections.abc import Sequence

from repositories.catalog.items import LOCK_SECONDS, TableLocked
from schema.clipping import clip
from schema.errors import PermanentError
from services.names import near_names


def table_not_found(schema: str, table: str, known: Sequence[str]) -> PermanentError:
    """Return the error for a table that does not exist; `known` are names of tables that do."""
    near = near_names(table, known)
    remedy = f"Did you mean {near}?" if near else "get_database_summary lists the tables of the target schemas."
    return PermanentError(
        f"Schema {schema!r} has no table {clip(table)!r}.", remediation=remedy, code="table_not_found"
    )


def table_locked(schema: str, table: str, blockers: Sequence[str]) -> TableLocked:
    """Return the error for a table that cannot be read now; `blockers` describe the sessions that hold locks on it."""
    return TableLocked(
        f"Table {schema}.{table} could not be locked within {LOCK_SECONDS} s. "
        f"Blocked by: {'; '.join(blockers[:5]) or 'another transaction'}.",
        remediation="End that transaction or wait until it ends, then submit the job again.",
    )
