"""Locks of a publish: taken in rounds of a few seconds, so that readers never queue for long behind a waiting swap."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from psycopg import errors

from repositories.postgres import Connection
from repositories.target_table import features, replacement
from repositories.target_table.features import LockMode
from repositories.target_table.replacement import Dependent
from schema.errors import TransientError
from services.context import TaskContext
from services.vector.load.plan import LoadPlan
from services.vector.load.target_check import check_target, rejects_of, target_of

MAX_WAIT_SECONDS = 120.0
_PAUSE_SECONDS = 0.5
"""Between rounds, when those who queued behind this transaction have their turn."""


class TableBusy(TransientError):
    """Somebody holds a table all the time."""

    code = "table_busy"


@dataclass(frozen=True)
class HeldTarget:
    """What the transaction found under the name of a target, and keeps from changing."""

    exists: bool
    dependents: tuple[Dependent, ...]
    """What would be lost with the table, where it is to be replaced."""


def take(ctx: TaskContext, plans: Sequence[LoadPlan]) -> list[HeldTarget]:
    """Take the locks of all targets in the transaction that finishes the task, all or none in each round.

    Plans must be in the order of their tables, for every job alike. Raises TableBusy naming who held the table, after
    two minutes; PermanentError when a load could not be published.
    """
    conn = ctx.transaction
    features.set_limits(conn, ctx.settings.task_deadline_seconds)
    end = time.monotonic() + MAX_WAIT_SECONDS
    while True:
        ctx.check()
        try:
            with conn.transaction():
                return [_take(conn, plan) for plan in plans]
        except (errors.LockNotAvailable, errors.DeadlockDetected) as exc:
            if time.monotonic() > end:
                raise _busy(conn, plans) from exc
            time.sleep(_PAUSE_SECONDS)


def _take(conn: Connection, plan: LoadPlan) -> HeldTarget:
    target, rejects = target_of(plan), rejects_of(plan)
    appends = plan.options.load_method == "append"
    features.hold_name(conn, target, shared=appends)
    found = check_target(conn, plan)
    if found is None and appends:
        features.hold_name(conn, target)
        # Another job may have made the table while this one waited for its name.
        found = check_target(conn, plan)
    dependents = () if appends or found is None else replacement.list_dependents(conn, target)
    if found:
        features.lock_table(conn, target, _mode_for(appends=appends, replaces_rows=bool(dependents)))
        dependents = _look_again(conn, plan, dependents)
    features.hold_name(conn, rejects)
    if features.find_table(conn, rejects):
        features.lock_table(conn, rejects, "ACCESS EXCLUSIVE")
    return HeldTarget(found is not None, dependents)


def _mode_for(*, appends: bool, replaces_rows: bool) -> LockMode:
    if appends:
        return "ROW EXCLUSIVE"
    return "SHARE ROW EXCLUSIVE" if replaces_rows else "ACCESS EXCLUSIVE"


def _look_again(conn: Connection, plan: LoadPlan, dependents: tuple[Dependent, ...]) -> tuple[Dependent, ...]:
    """Find what depends on the table now: somebody may have changed it while this transaction waited for its lock."""
    if plan.options.load_method == "append":
        check_target(conn, plan)
        return ()
    found = replacement.list_dependents(conn, target_of(plan))
    if found != dependents:
        check_target(conn, plan)
    return found


def _busy(conn: Connection, plans: Sequence[LoadPlan]) -> TableBusy:
    tables = [table for plan in plans for table in (target_of(plan), rejects_of(plan))]
    holders = features.list_holders(conn, tables)
    who = "; ".join(holders[:5]) or "another job that loads it"
    return TableBusy(
        f"{', '.join(plan.options.table for plan in plans)} could not be locked for {MAX_WAIT_SECONDS:.0f} s. "
        f"In the way: {who}.",
        remediation="End that transaction, or wait for its end, and retry the job: its rows are still there.",
    )
