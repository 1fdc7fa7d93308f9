"""The end of a load: the staging table is made ready to serve, then put in the target's place or added to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from repositories.postgres import Connection
from repositories.target_table import features, loading, replacement
from repositories.target_table.features import Table
from services.context import TaskContext
from services.vector.geometry import wkb
from services.vector.load import row_accounting
from services.vector.load.batch import GEOMETRY, schema_of
from services.vector.load.encode import encode
from services.vector.load.plan import LoadPlan, type_name
from services.vector.load.table_locks import HeldTarget
from services.vector.load.target_check import rejects_of, target_of

REJECTS, MULTI = "_rejects", "_multi"
"""Suffixes of a job's further staging tables: rejected rows, and multipolygons where single polygons were expected."""


def staging_of(job_id: str, plan: LoadPlan, suffix: str = "") -> Table:
    """Name a staging table of a load."""
    return loading.staging_table(job_id, plan.staging + suffix)


def make_staging(conn: Connection, job_id: str, plan: LoadPlan) -> None:
    """Make the job's staging tables anew."""
    columns = [(column.name, column.pg_type) for column in plan.columns]
    loading.create_staging(conn, staging_of(job_id, plan), columns, plan.geometry_type, plan.srid)
    loading.create_rejects(conn, staging_of(job_id, plan, REJECTS))
    if plan.guessed and not plan.promote:
        multi = type_name(plan.family, multi=True)
        loading.create_staging(conn, staging_of(job_id, plan, MULTI), columns, multi, plan.srid)


def try_rows(ctx: TaskContext, plan: LoadPlan, rows: pa.RecordBatch) -> bool:
    """Tell whether every row fits into a page of PostgreSQL; leaves nothing behind."""
    ctx.check()
    schema, pg_types = schema_of(plan)
    with ctx.database.connection() as conn:
        return all(
            loading.takes_rows(conn, table, schema.names, encode([part], schema, pg_types))
            for table, part in share_out(ctx.job_id, plan, rows)
        )


def share_out(job_id: str, plan: LoadPlan, rows: pa.RecordBatch) -> list[tuple[Table, pa.RecordBatch]]:
    """Say which rows go to which staging table: multi geometries to one apart, where single ones were expected."""
    staging = staging_of(job_id, plan)
    if not plan.guessed or plan.promote:
        return [(staging, rows)]
    multi = wkb.read_headers(rows.column(GEOMETRY)).kinds >= wkb.MULTIPOINT
    if not multi.any():
        return [(staging, rows)]
    apart = staging_of(job_id, plan, MULTI)
    return [(staging, rows.filter(pa.array(~multi))), (apart, rows.filter(pa.array(multi)))]


def prepare(ctx: TaskContext, plan: LoadPlan, *, multi_rows: int, loaded: int) -> str:
    """Make the staging table ready to serve, in transactions of its own, and give its geometry type.

    Each step looks first whether an earlier try has done it. Rows that will be added to a table need no index of their
    own. Raises BooksDoNotBalance when the table does not hold the rows that were counted.
    """
    staging = staging_of(ctx.job_id, plan)
    with ctx.database.transaction() as conn:
        features.set_limits(conn, ctx.settings.task_deadline_seconds)
        geometry_type = _settle_type(conn, ctx.job_id, plan, multi_rows)
        indexes = () if _appends(plan) and features.find_table(conn, target_of(plan)) else loading.INDEXES
    ctx.check()
    side_by_side: list[Callable[[Connection], None]] = [
        *(partial(loading.build_index, table=staging, statement=statement) for statement in indexes),
        lambda conn: row_accounting.check_staged(loading.count_rows(conn, staging), loaded),
    ]
    with ThreadPoolExecutor(len(side_by_side)) as threads:
        list(threads.map(partial(_in_transaction, ctx), side_by_side))
    ctx.check()
    if indexes:
        _in_transaction(ctx, lambda conn: loading.make_ready(conn, staging))
    return geometry_type


def _appends(plan: LoadPlan) -> bool:
    return plan.options.load_method == "append"


def _in_transaction(ctx: TaskContext, act: Callable[[Connection], None]) -> None:
    with ctx.database.transaction() as conn:
        features.set_limits(conn, ctx.settings.task_deadline_seconds)
        act(conn)


def _settle_type(conn: Connection, job_id: str, plan: LoadPlan, multi_rows: int) -> str:
    """Correct the guess whether repairs make multipolygons, now that it is known."""
    staging = staging_of(job_id, plan)
    wanted = type_name(plan.family, multi=multi_rows > 0 if plan.guessed else plan.promote)
    if wanted.upper() == loading.geometry_type_of(conn, staging):
        return wanted
    if plan.promote:
        loading.make_single(conn, staging, wanted, plan.srid)
    else:
        loading.make_multi(conn, staging, wanted, plan.srid, also=staging_of(job_id, plan, MULTI))
    return wanted


def publish(ctx: TaskContext, plan: LoadPlan, held: HeldTarget, *, rejected: int) -> None:
    """Show the loaded rows to readers, all at once, in the transaction that finishes the task and has the locks."""
    ctx.check()
    conn = ctx.transaction
    target, staging = target_of(plan), staging_of(ctx.job_id, plan)
    if held.exists and _appends(plan):
        features.append(conn, staging, target, [*(column.name for column in plan.columns), "geom"])
    else:
        if _appends(plan):
            # The table may have gone only now, with the rows not indexed.
            for statement in loading.INDEXES:
                loading.build_index(conn, staging, statement)
            loading.make_ready(conn, staging)
        _replace(conn, plan, held, staging, _comment(plan, ctx.job_id))
    rejects = rejects_of(plan)
    features.replace_rejects(conn, staging_of(ctx.job_id, plan, REJECTS), rejects, any_rows=rejected > 0)


def _replace(conn: Connection, plan: LoadPlan, held: HeldTarget, staging: Table, comment: str) -> None:
    target, columns = target_of(plan), [column.name for column in plan.columns]
    inherited: list[str] = []
    if held.dependents:
        replacement.replace_rows(conn, staging, target, [*columns, "geom"])
    else:
        if held.exists:
            inherited = replacement.list_inheritance(conn, target, ["id", *columns, "geom"])
        features.swap_in(conn, staging, target, old=held.exists)
    origins = {column.name: f"column {column.source!r} of the file" for column in plan.columns}
    own = {"id": "number of the row in the file, from 1", "geom": f"geometries in {plan.final_crs}"}
    replacement.comment(conn, target, comment, {**own, **origins})
    replacement.inherit(conn, target, inherited)


def _comment(plan: LoadPlan, job_id: str) -> str:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    crs = f"{plan.original_crs} to {plan.final_crs}" if plan.original_crs != plan.final_crs else plan.final_crs
    return f"{plan.source}, layer {plan.layer}; job {job_id}; {crs}; {now}"
