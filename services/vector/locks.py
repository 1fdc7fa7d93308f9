"""Locks of a publish: taken in rounds of a few seconds, so that readers never queue for long behind a waiting swap."""

from __future__ import annotations

import time
from collections.abc import Sequence

from psycopg import errors

from repositories import features, succession
from repositories.postgres import Connection
from schema.errors import TransientError
from services.context import TaskContext
from services.vector.plan import LoadPlan
from services.vector.targets import check_target, rejects_of, target_of

MAX_WAIT_SECONDS = 120.0
_PAUSE_SECONDS = 0.5
"""Between rounds, when those who queued behind this transaction have their turn."""


class TableBusy(TransientError):
    """Somebody holds a table all the time."""

    code = "table_busy"


def take(ctx: TaskContext, plans: Sequence[LoadPlan]) -> None:
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
                for plan in plans:
                    _take(conn, plan)
        except (errors.LockNotAvailable, errors.DeadlockDetected) as exc:
            if time.monotonic() > end:
                raise _busy(conn, plans) from exc
            time.sleep(_PAUSE_SECONDS)
        else:
            return


def _take(conn: Connection, plan: LoadPlan) -> None:
    target, rejects = target_of(plan), rejects_of(plan)
    appends = plan.options.load_method == "append"
    features.hold_name(conn, target, shared=appends)
    found = check_target(conn, plan)
    if found is None:
        features.hold_name(conn, target)
    elif appends:
        features.lock_table(conn, target, "ROW EXCLUSIVE")
    elif succession.list_dependents(conn, target):
        features.lock_table(conn, target, "SHARE ROW EXCLUSIVE")
    else:
        features.lock_table(conn, target, "ACCESS EXCLUSIVE")
    features.hold_name(conn, rejects)
    if features.find_table(conn, rejects):
        features.lock_table(conn, rejects, "ACCESS EXCLUSIVE")


def _busy(conn: Connection, plans: Sequence[LoadPlan]) -> TableBusy:
    tables = [table for plan in plans for table in (target_of(plan), rejects_of(plan))]
    holders = features.list_holders(conn, tables)
    who = "; ".join(holders[:5]) or "another job that loads it"
    return TableBusy(
        f"{', '.join(plan.options.table for plan in plans)} could not be locked for {MAX_WAIT_SECONDS:.0f} s. "
        f"In the way: {who}.",
        remediation="End that transaction, or wait for its end, and retry the job: its rows are still there.",
    )
