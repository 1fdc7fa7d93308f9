"""The end of a load, in order: staging tables are made ready, the targets locked, and the rows shown to readers."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

from repositories.postgres import Connection, Database
from repositories.target_table import staging
from repositories.target_table.inspection import TargetState, list_lock_holders
from repositories.target_table.locks import LockRequest, lock, set_limits
from repositories.target_table.replacement import Comments, append, replace, replace_rejects, replace_rows
from repositories.target_table.staging import StagingTables
from schema.errors import TransientError
from services.vector.load.plan import LoadPlan, type_name
from services.vector.load.row_accounting import LoadTotals, check_staged

MAX_WAIT_SECONDS = 120.0
_PAUSE_SECONDS = 0.5
"""Between rounds, when those who queued behind this transaction have their turn."""


class TableBusy(TransientError):
    """Somebody holds a table all the time."""

    code = "table_busy"


def prepare(
    database: Database,
    tables: StagingTables,
    plan: LoadPlan,
    totals: LoadTotals,
    *,
    indexed: bool,
    seconds: float,
    check: Callable[[], None],
) -> str:
    """Make the staging table ready to serve, in transactions of its own, and return its geometry type.

    Each step looks first whether an earlier attempt has done it, so a retry goes on where that one ended.

    Parameters
    ----------
    indexed
        Whether the table needs indexes: rows that are added to a table find its indexes there.
    seconds
        How long one statement may run.

    Raises
    ------
    RowsUnaccounted
        The table does not hold the rows that the upload tasks counted.
    """

    def in_transaction(act: Callable[[Connection], None]) -> None:
        with database.transaction() as conn:
            set_limits(conn, seconds)
            act(conn)

    # Only now it is known whether a repair made a multipolygon.
    geometry_type = type_name(plan.dimension, multi=totals.multi > 0 if plan.guessed else plan.promote)
    in_transaction(lambda conn: staging.set_geometry_type(conn, tables, geometry_type, plan.srid))
    check()
    # The indexes and the count each read the whole table; side by side they take as long as the longest of them.
    steps: list[Callable[[Connection], None]] = [
        partial(staging.build_index, table=tables.rows, statement=statement)
        for statement in (staging.INDEXES if indexed else ())
    ]
    steps.append(lambda conn: check_staged(staging.count_rows(conn, tables.rows), totals.loaded))
    with ThreadPoolExecutor(len(steps)) as threads:
        list(threads.map(in_transaction, steps))
    check()
    if indexed:
        in_transaction(lambda conn: staging.finish_staging(conn, tables.rows))
    return geometry_type


def lock_targets(
    conn: Connection, plans: Sequence[LoadPlan], check: Callable[[], None], max_wait_seconds: float = MAX_WAIT_SECONDS
) -> list[TargetState]:
    """Lock the targets until the transaction ends, and return their states, which no longer change.

    The locks are taken in rounds of a few seconds, all or none in each, so that readers never queue for long behind a
    waiting swap. Plans must be in the order of their tables, for every job alike. Raises TableBusy naming who held the
    table, after `max_wait_seconds`.
    """
    requests = [LockRequest(plan.target, plan.rejects, plan.options.appends) for plan in plans]
    end = time.monotonic() + max_wait_seconds
    while (states := lock(conn, requests)) is None:
        check()
        if time.monotonic() > end:
            holders = list_lock_holders(conn, [table for plan in plans for table in (plan.target, plan.rejects)])
            raise TableBusy(
                f"{', '.join(str(plan.target) for plan in plans)} could not be locked for {max_wait_seconds:.0f} s. "
                f"The lock is held by {'; '.join(holders[:5]) or 'another job that loads the table'}.",
                remediation="End that transaction, or wait for its end, and retry the job: its rows are still staged.",
            )
        time.sleep(_PAUSE_SECONDS)
    return states


def publish(
    conn: Connection, tables: StagingTables, plan: LoadPlan, state: TargetState, job_id: str, *, any_rejected: bool
) -> None:
    """Show the loaded rows to readers, all at once, when the transaction that has the locks commits."""
    columns = [*(column.name for column in plan.columns), "geom"]
    comments = _comments(plan, job_id)
    if state.exists and plan.options.appends:
        append(conn, tables.rows, plan.target, columns)
    elif state.dependents:
        replace_rows(conn, tables.rows, plan.target, columns, comments)
    else:
        if plan.options.appends:
            # The table may have gone after `prepare` left the indexes out; then the rows become the table.
            for statement in staging.INDEXES:
                staging.build_index(conn, tables.rows, statement)
            staging.finish_staging(conn, tables.rows)
        replace(conn, tables.rows, plan.target, comments, exists=state.exists)
    replace_rejects(conn, tables.rejects, plan.rejects, any_rows=any_rejected)


def _comments(plan: LoadPlan, job_id: str) -> Comments:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    crs = f"{plan.original_crs} to {plan.final_crs}" if plan.original_crs != plan.final_crs else plan.final_crs
    columns = {column.name: f"column {column.source!r} of the file" for column in plan.columns}
    own = {"id": "number of the row in the file, from 1", "geom": f"geometries in {plan.final_crs}"}
    return Comments(f"{plan.source}, layer {plan.layer}; job {job_id}; {crs}; {now}", {**own, **columns})
