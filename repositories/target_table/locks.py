"""Locks on target tables: taken all together or not at all, and never waited for longer than a few seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import errors, sql

from repositories.postgres import Connection
from repositories.target_table.inspection import TargetState, inspect
from repositories.target_table.statements import Table, run

LOCK_WAIT_SECONDS = 5.0
"""Readers that come after a waiting swap queue behind it, so it gives way after this time and is tried again later."""


@dataclass(frozen=True)
class LockRequest:
    """A target that a transaction is about to change."""

    target: Table
    rejects: Table
    appends: bool
    """Rows are added to it if it exists; otherwise it is replaced."""


def set_limits(conn: Connection, seconds: float) -> None:
    """Let the statements of this transaction run for so long, and wait for a lock for LOCK_WAIT_SECONDS."""
    limits = {"statement_ms": str(int(seconds * 1000)), "lock_ms": str(int(LOCK_WAIT_SECONDS * 1000))}
    run(conn, "set_limits", limits)


def lock(conn: Connection, requests: Sequence[LockRequest]) -> list[TargetState] | None:
    """Lock targets until the transaction ends, and return the state that they keep from now on.

    Requests must be in the order of their tables, for every job alike: two jobs that lock the same tables in different
    orders would wait for each other. None when somebody else kept a lock for LOCK_WAIT_SECONDS: no lock is held then.
    """
    try:
        # A savepoint: what was locked in it is free again when it is rolled back.
        with conn.transaction():
            return [_lock_one(conn, request) for request in requests]
    except (errors.LockNotAvailable, errors.DeadlockDetected):
        return None


def _lock_one(conn: Connection, request: LockRequest) -> TargetState:
    target, rejects = request.target, request.rejects
    _hold_name(conn, target, shared=request.appends)
    state = inspect(conn, target, rejects)
    if request.appends and not state.exists:
        # Of several jobs that add to a table that is missing, the first makes it, and the others wait for it here.
        _hold_name(conn, target)
        state = inspect(conn, target, rejects)
    relation = state.target.relation
    # LOCK TABLE on a view would lock the tables below it, and on somebody else's table it is an error; the caller
    # refuses both with a message of its own.
    if relation and relation.kind == "r" and (relation.may_insert if request.appends else relation.is_ours):
        # Rows that are replaced in place stay readable meanwhile; a table that is swapped does not.
        replaces = "SHARE ROW EXCLUSIVE" if relation.dependents else "ACCESS EXCLUSIVE"
        mode = sql.SQL("ROW EXCLUSIVE" if request.appends else replaces)
        run(conn, "lock_table", table=target.quoted, mode=mode)
    _hold_name(conn, rejects)
    if state.rejects.relation and state.rejects.relation.kind == "r" and state.rejects.relation.is_ours:
        run(conn, "lock_table", table=rejects.quoted, mode=sql.SQL("ACCESS EXCLUSIVE"))
    # Somebody may have changed the tables while this transaction waited for its locks.
    return inspect(conn, target, rejects)


def _hold_name(conn: Connection, table: Table, *, shared: bool = False) -> None:
    """Wait until no other job replaces the table (or, unless shared, adds to it); held until the transaction ends.

    A table that does not exist yet cannot be locked, but its name can.
    """
    run(conn, "share_target_name" if shared else "lock_target_name", {"name": f"geostage {table}"})
