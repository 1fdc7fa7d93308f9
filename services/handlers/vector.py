"""The handlers of process_vector: preprocess reads the source once, upload loads a chunk, publish shows the table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa

from repositories.identifiers import fit_name
from repositories.target_table import staging
from repositories.target_table.inspection import TargetState, inspect
from repositories.target_table.locks import set_limits
from repositories.target_table.staging import StagingTables
from repositories.target_table.statements import Table
from schema.errors import PermanentError
from schema.jobs import Json
from services.context import TaskContext
from services.crs import parse_target_crs
from services.vector.chunks import Chunk
from services.vector.geometry import reasons
from services.vector.geometry.crs import project_with
from services.vector.load import load_report, row_accounting
from services.vector.load import publish as publishing
from services.vector.load.batch import (
    REJECT_SCHEMA,
    REJECT_TYPES,
    CleanBatch,
    Cleaner,
    clean_batch,
    schema_of,
    share_out,
)
from services.vector.load.chunk_blobs import read_batches, writing
from services.vector.load.encode import encode
from services.vector.load.names import layer_suffixes
from services.vector.load.plan import LoadPlan, type_name
from services.vector.load.planning import make_plan, types_of_target
from services.vector.load.row_accounting import LoadTotals
from services.vector.load.stages import Options, PlannedLoad, PreprocessResult, PublishTask, UploadResult, UploadTask
from services.vector.load.survey import Survey, survey
from services.vector.load.target import check, fixed_relation
from services.vector.origin import Origin
from services.vector.read_options import ALL_LAYERS
from services.vector.readers.source_layer import SourceBatch, SourceLayer
from services.vector.source import layers as source_layers
from services.vector.source.fetch import fetched, find_parts
from services.vector.source.places import find_place


def preprocess(ctx: TaskContext) -> Json:
    """Read each layer of the source once, decide how it is loaded and make its staging tables."""
    options = Options.from_json(ctx.parameters)
    parse_target_crs(options.target_crs)
    parts = find_parts(ctx.blobs, ctx.source)
    with fetched(ctx.blobs, ctx.source, parts, ctx.check) as folder:
        origins = source_layers.choose(folder, options.read_options, parts)
        surveyed = [
            (own, origin, *_read_once(ctx, folder, own, origin)) for own, origin in _assign_tables(options, origins)
        ]
        empty = tuple(origin.name for _, origin, _, found in surveyed if not found.rows)
        if options.read_options.layer == ALL_LAYERS and len(empty) < len(surveyed):
            surveyed = [one for one in surveyed if one[-1].rows]
        planned = [_plan(ctx, folder, own, origin, layer, found) for own, origin, layer, found in surveyed]
        planned[0] = replace(planned[0][0], empty_layers=empty), *planned[0][1:]
        if options.dry_run:
            reports = [_rehearse(ctx, folder, plan, found, exists=exists) for plan, found, exists in planned]
            return PreprocessResult(dry_run=load_report.join_dry_runs(reports)).as_json()
    return PreprocessResult(tuple(_stage(ctx, plan, found) for plan, found, _ in planned)).as_json()


def _assign_tables(options: Options, origins: list[Origin]) -> list[tuple[Options, Origin]]:
    """Return the layers, each with its table: the target itself, or one named after the layer where all are loaded."""
    if options.read_options.layer != ALL_LAYERS or (len(origins) == 1 and origins[0].layer is None):
        return [(options, origin) for origin in origins]
    suffixes = layer_suffixes(origin.name for origin in origins)
    return [
        (
            replace(options, target_table=fit_name(options.target_table, suffix)),
            replace(origin, staging=f"_{number}" if number else ""),
        )
        for number, (suffix, origin) in enumerate(zip(suffixes, origins, strict=True))
    ]


def _read_once(ctx: TaskContext, folder: Path, options: Options, origin: Origin) -> tuple[SourceLayer, Survey]:
    """Survey a layer; formats that can only be read from the front leave their chunks in the work container."""
    with ExitStack() as stack:
        by_rows = origin.file_format.chunking == "row_range"
        open_layer = source_layers.open_geometries if by_rows else source_layers.open_origin
        layer, batches = stack.enter_context(open_layer(folder, origin, options.read_options, ctx.check))
        write = None
        if not by_rows and not options.dry_run:
            prefix = f"{_attempt_prefix(ctx)}layer{origin.staging}/"
            write = stack.enter_context(writing(prefix, partial(ctx.blobs.write, ctx.settings.work_container)))
        found = survey(batches, options.chunk_size, ctx.check, write)
        found.counts = layer.count_rows(found.rows)
        row_accounting.check_counts(layer.name, found.rows, found.counts)
        return layer, found


def _attempt_prefix(ctx: TaskContext) -> str:
    return f"{ctx.work_prefix}{ctx.task.attempt:04d}/"


def _plan(
    ctx: TaskContext, folder: Path, options: Options, origin: Origin, layer: SourceLayer, found: Survey
) -> tuple[LoadPlan, Survey, bool]:
    """Decide how a layer is loaded; also return whether its target exists. Raises PermanentError when it cannot be."""
    with origin.named():
        with ctx.database.transaction() as conn:
            state = inspect(conn, options.target, options.rejects)
        fixed = fixed_relation(options, state)
        layer = source_layers.retyped(origin, layer, types_of_target(layer, fixed))
        place = partial(find_place, folder, origin, options.read_options, ctx.check)
        plan = make_plan(ctx.source_label, origin, layer, found, options, fixed, place)
        check(plan, state)
    return plan, found, state.exists


def _rehearse(ctx: TaskContext, folder: Path, plan: LoadPlan, found: Survey, *, exists: bool) -> Json:
    """Clean all rows as upload tasks would, and report what a load would do, its failure included."""
    # Whether a row fits into a page is for PostgreSQL to say, which has no table for it here.
    cleaner = Cleaner(plan, project_with(plan.operation), ctx.settings.max_repair_vertices, accepts=lambda _: True)
    totals = LoadTotals()
    opened = source_layers.open_origin(folder, plan.origin, plan.options.read_options, ctx.check)
    with opened as (_, batches):
        for batch in batches:
            ctx.check()
            totals = row_accounting.add_up([totals, clean_batch(cleaner, batch, totals.rows + 1).totals])
    failure: PermanentError | None = None
    try:
        _check_totals(plan, totals)
    except PermanentError as exc:
        failure = exc
    return load_report.dry_run(plan, found, totals, exists=exists, failure=failure)


def _stage(ctx: TaskContext, plan: LoadPlan, found: Survey) -> PlannedLoad:
    """Store a plan for the tasks that follow, and make its staging tables."""
    # As a blob: a job with thousands of chunks would otherwise hold the plan thousands of times.
    blob = f"{_attempt_prefix(ctx)}plan{plan.staging}.json"
    ctx.blobs.write(ctx.settings.work_container, blob, json.dumps(plan.as_json()).encode())
    columns = [(column.name, column.pg_type) for column in plan.columns]
    multi_type = type_name(plan.dimension, multi=True) if plan.splits_multi else None
    tables = StagingTables.of(ctx.job_id, plan.staging)
    staging.prepare_staging(ctx.transaction, tables, columns, plan.geometry_type, plan.srid, multi_type=multi_type)
    return PlannedLoad(blob, found.rows, plan.layer, plan.original_crs, dict(found.geometry_types), tuple(found.chunks))


def upload(ctx: TaskContext) -> Json:
    """Clean a chunk's rows and COPY them in the transaction that finishes the task."""
    began = time.perf_counter()
    task = UploadTask.from_json(ctx.parameters)
    plan = _read_plan(ctx, task.plan)
    tables = StagingTables.of(ctx.job_id, plan.staging)
    accepts = partial(_accepts, ctx, plan, tables)
    cleaner = Cleaner(plan, project_with(plan.operation), ctx.settings.max_repair_vertices, accepts)
    cleaned = []
    first_row = task.chunk.first_row
    for batch in _read_chunk(ctx, plan, task.chunk):
        ctx.check()
        cleaned.append(clean_batch(cleaner, batch, first_row))
        first_row += len(batch.fids)
    _copy(ctx, plan, tables, cleaned)
    totals = row_accounting.add_up(batch.totals for batch in cleaned)
    return UploadResult(totals, round(time.perf_counter() - began, 3)).as_json()


_last_plan: dict[str, LoadPlan] = {}
"""The plan that was read last, by its blob, whose name holds job and attempt: so it never changes."""


def _read_plan(ctx: TaskContext, blob: str) -> LoadPlan:
    plan = _last_plan.get(blob)
    if plan is None:
        plan = LoadPlan.from_json(json.loads(ctx.blobs.read(ctx.settings.work_container, blob)))
        _last_plan.clear()
        _last_plan[blob] = plan
    return plan


def _accepts(ctx: TaskContext, plan: LoadPlan, tables: StagingTables, rows: pa.RecordBatch) -> bool:
    """Whether every row fits into a page of PostgreSQL; leaves nothing behind."""
    ctx.check()
    schema, pg_types = schema_of(plan)
    with ctx.database.connection() as conn:
        return all(
            staging.accepts_rows(conn, table, schema.names, encode([part], schema, pg_types))
            for table, part in share_out(plan, tables, rows)
        )


def _read_chunk(ctx: TaskContext, plan: LoadPlan, chunk: Chunk) -> Iterator[SourceBatch]:
    """Yield the chunk's batches. Raises PermanentError when they are not the rows that preprocess saw."""
    if chunk.blob:
        yield from read_batches(ctx.blobs.read(ctx.settings.work_container, chunk.blob))
        return
    rows, last_fid = 0, None
    with plan.origin.named(), fetched(ctx.blobs, ctx.source, plan.origin.parts, ctx.check) as folder:
        read_options, reader_state = plan.options.read_options, plan.reader_state
        opened = source_layers.open_origin(
            folder, plan.origin, read_options, ctx.check, chunk=chunk, reader_state=reader_state
        )
        with opened as (_, batches):
            for batch in batches:
                # Row numbers of a GeoPackage may have gaps or be out of order, and then a range holds other rows.
                if rows == 0 and batch.fids[0] != chunk.first_fid:
                    break
                rows, last_fid = rows + len(batch.fids), int(batch.fids[-1])
                yield batch
        if (rows, last_fid) != (chunk.rows, chunk.last_fid):
            raise PermanentError(
                f"Rows {chunk.first_row} to {chunk.first_row + chunk.rows - 1} could not be read a second time.",
                remediation="Write the layer to a new file (its row numbers may be out of order), and upload that.",
                code="rows_out_of_order",
            )


def _copy(ctx: TaskContext, plan: LoadPlan, tables: StagingTables, cleaned: list[CleanBatch]) -> None:
    """Send rows and rejected rows to their staging tables."""
    schema, pg_types = schema_of(plan)
    shares: dict[Table, list[pa.RecordBatch]] = {}
    for batch in cleaned:
        for table, rows in share_out(plan, tables, batch.rows):
            shares.setdefault(table, []).append(rows)
    loads = [(table, schema.names, list(encode(rows, schema, pg_types))) for table, rows in shares.items()]
    rejects = [batch.rejects for batch in cleaned if batch.rejects.num_rows]
    if rejects:
        loads.append((tables.rejects, REJECT_SCHEMA.names, list(encode(rejects, REJECT_SCHEMA, REJECT_TYPES))))
    ctx.check()
    # All rows are encoded before the transaction begins, which should be short.
    set_limits(ctx.transaction, ctx.settings.task_deadline_seconds)
    for table, columns, data in loads:
        staging.copy_rows(ctx.transaction, table, columns, data)


def publish(ctx: TaskContext, *, max_wait_seconds: float = publishing.MAX_WAIT_SECONDS) -> Json:
    """Account for all rows, make the staging tables ready, and replace the targets or add the rows to them."""
    task = PublishTask.from_json(ctx.parameters)
    loads = [(_read_plan(ctx, load.plan), load) for load in task.loads]
    # All layers are published in one transaction. Every job locks its tables in the order of their names, so that two
    # jobs cannot wait for each other.
    loads.sort(key=lambda one: str(one[0].target))
    for plan, load in loads:
        with plan.origin.named():
            row_accounting.check_accounted(plan.rows, load.totals)
            _check_totals(plan, load.totals)
    geometry_types = [_prepare(ctx, plan, load.totals) for plan, load in loads]
    set_limits(ctx.transaction, ctx.settings.task_deadline_seconds)
    states = publishing.lock_targets(ctx.transaction, [plan for plan, _ in loads], ctx.check, max_wait_seconds)
    results = []
    for (plan, load), geometry_type, state in zip(loads, geometry_types, states, strict=True):
        check(plan, state)
        ctx.check()
        tables = StagingTables.of(ctx.job_id, plan.staging)
        any_rejected = load.totals.rejected > 0
        publishing.publish(ctx.transaction, tables, plan, state, ctx.job_id, any_rejected=any_rejected)
        results.append(
            load_report.report(
                plan,
                load.totals,
                geometry_type,
                rows_in_table=_rows_in_table(ctx, plan, load.totals, state),
                chunks=load.chunks,
                seconds=round((datetime.now(UTC) - datetime.fromisoformat(task.started_at)).total_seconds(), 3),
                dependents=() if plan.options.appends else state.dependents,
            )
        )
    return results[0] if len(results) == 1 else load_report.join_tables(results)


def _rows_in_table(ctx: TaskContext, plan: LoadPlan, totals: LoadTotals, state: TargetState) -> int | None:
    """Return the number of the target's rows; None for one that rows were added to and that cannot be read."""
    if not (state.exists and plan.options.appends):
        return totals.loaded
    if not staging.may_read(ctx.transaction, plan.target):
        return None
    return staging.count_rows(ctx.transaction, plan.target)


def _check_totals(plan: LoadPlan, totals: LoadTotals) -> None:
    """Check that the rows are what the job may publish. Raises PermanentError."""
    nowhere = totals.reasons[reasons.OUT_OF_RANGE] + totals.reasons[reasons.NOT_PROJECTABLE]
    row_accounting.check_on_earth(nowhere, plan.rows, plan.original_crs, plan.guess)
    row_accounting.check_rejected(plan.rows, totals, plan.options.max_rejected, left_out=plan.left_out)


def _prepare(ctx: TaskContext, plan: LoadPlan, totals: LoadTotals) -> str:
    """Make a staging table ready to serve, unless what the database has now would refuse it; return its type."""
    # Before the work: an index that nobody will use may take minutes to build.
    with ctx.database.transaction() as conn:
        state = inspect(conn, plan.target, plan.rejects)
    check(plan, state)
    return publishing.prepare(
        ctx.database,
        StagingTables.of(ctx.job_id, plan.staging),
        plan,
        totals,
        indexed=not (plan.options.appends and state.exists),
        seconds=ctx.settings.task_deadline_seconds,
        check=ctx.check,
    )
