"""The handlers of process_vector: preprocess reads the source once, upload loads a chunk, publish shows the table."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import pyarrow as pa

from repositories import features
from schema.errors import PermanentError
from schema.jobs import Json
from services.context import TaskContext
from services.vector import findings, reading, report, wkb
from services.vector import publish as publishing
from services.vector.batch import REJECT_SCHEMA, REJECT_TYPES, CleanBatch, Cleaner, clean_batch, schema_of
from services.vector.chunks import Chunk
from services.vector.crs import project_with
from services.vector.decide import decide
from services.vector.encode import encode
from services.vector.layer import SourceBatch, SourceLayer
from services.vector.origin import Origin
from services.vector.plan import LoadPlan, Options
from services.vector.source import fetched, find_parts, source_of
from services.vector.stored import read_batches, writing
from services.vector.survey import Survey, survey


def preprocess(ctx: TaskContext) -> Json:
    """Read the source once, decide how it is loaded and make the staging tables."""
    options = Options.from_json(ctx.parameters)
    origin, layer, found = _read_once(ctx, options)
    plan, exists = _decide(ctx, origin, layer, found, options)
    if options.dry_run:
        return {"dry_run": findings.dry_run(plan, found, str(publishing.rejects_of(plan)), exists=exists), "chunks": []}
    blob = f"{_attempt_prefix(ctx)}plan.json"
    ctx.blobs.write(ctx.settings.work_container, blob, json.dumps(plan.as_json()).encode())
    publishing.make_staging(ctx.transaction, ctx.job_id, plan)
    return {
        "plan": blob,
        "rows": found.rows,
        "layer": layer.name,
        "original_crs": plan.original_crs,
        "geometry_types": dict(found.kinds),
        "chunks": [list(chunk.as_json().values()) for chunk in found.chunks],
    }


def _read_once(ctx: TaskContext, options: Options) -> tuple[Origin, SourceLayer, Survey]:
    parts, hints = find_parts(ctx), options.hints
    with fetched(ctx, parts) as folder:
        (origin,) = reading.choose(folder, hints, parts)
        if origin.known.travel == "rows":
            layer = reading.describe(folder, origin, hints, ctx.check)
            with reading.open_origin(folder, origin, hints, ctx.check, geometry_only=True) as (_, batches):
                return origin, layer, survey(batches, options.chunk_size, ctx.check, None)
        with reading.open_origin(folder, origin, hints, ctx.check) as (layer, batches):
            if options.dry_run:
                return origin, layer, survey(batches, options.chunk_size, ctx.check, None)
            with writing(_attempt_prefix(ctx), partial(ctx.blobs.write, ctx.settings.work_container)) as write:
                return origin, layer, survey(batches, options.chunk_size, ctx.check, write)


def _attempt_prefix(ctx: TaskContext) -> str:
    return f"{ctx.work_prefix}{ctx.task.attempt:04d}/"


def _decide(
    ctx: TaskContext, origin: Origin, layer: SourceLayer, found: Survey, options: Options
) -> tuple[LoadPlan, bool]:
    """Make the plan, and tell whether the target exists."""
    source = source_of(ctx)
    with ctx.database.transaction() as conn:
        target = publishing.find_fixed_target(conn, options)
        plan = decide(f"{source.container}/{source.blob}", origin, layer, found, options, target)
        return plan, publishing.check_target(conn, plan) is not None


def upload(ctx: TaskContext) -> Json:
    """Clean a chunk's rows and COPY them in the transaction that finishes the task."""
    began = time.perf_counter()
    plan, chunk = _read_plan(ctx), Chunk(*ctx.parameters["chunk"])
    limit = ctx.settings.max_repair_vertices
    cleaner = Cleaner(plan, project_with(plan.operation), limit, lambda rows: publishing.try_rows(ctx, plan, rows))
    cleaned = []
    first_row = chunk.first_row
    for batch in _read_chunk(ctx, plan, chunk):
        ctx.check()
        cleaned.append(clean_batch(cleaner, batch, first_row))
        first_row += len(batch.fids)
    _copy(ctx, plan, cleaned)
    return {**_count(cleaned), "rows": chunk.rows, "processing_time_seconds": _since(began)}


def _read_plan(ctx: TaskContext) -> LoadPlan:
    return LoadPlan.from_json(json.loads(ctx.blobs.read(ctx.settings.work_container, ctx.parameters["plan"])))


def _read_chunk(ctx: TaskContext, plan: LoadPlan, chunk: Chunk) -> Iterator[SourceBatch]:
    """Give the chunk's batches. Raises PermanentError when they are not the rows that preprocess saw."""
    if chunk.blob:
        yield from read_batches(ctx.blobs.read(ctx.settings.work_container, chunk.blob))
        return
    rows, last_fid = 0, None
    with fetched(ctx, plan.origin.parts) as folder:
        opened = reading.open_origin(folder, plan.origin, plan.options.hints, ctx.check, chunk=chunk)
        with opened as (_, batches):
            for batch in batches:
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


def _copy(ctx: TaskContext, plan: LoadPlan, cleaned: list[CleanBatch]) -> None:
    """Send rows and rejected rows to their staging tables; all of them are encoded before the transaction begins."""
    schema, pg_types = schema_of(plan)
    shares: dict[features.Table, list[pa.RecordBatch]] = {}
    for batch in cleaned:
        for table, rows in publishing.share_out(ctx.job_id, plan, batch.rows):
            shares.setdefault(table, []).append(rows)
    loads = [(table, schema.names, list(encode(rows, schema, pg_types))) for table, rows in shares.items()]
    rejects = [batch.rejects for batch in cleaned if batch.rejects.num_rows]
    if rejects:
        table = features.staging_table(ctx.job_id, publishing.REJECTS)
        loads.append((table, REJECT_SCHEMA.names, list(encode(rejects, REJECT_SCHEMA, REJECT_TYPES))))
    ctx.check()
    features.set_limits(ctx.transaction, ctx.settings.task_deadline_seconds)
    for table, columns, data in loads:
        features.copy_rows(ctx.transaction, table, columns, data)


def _count(cleaned: list[CleanBatch]) -> Json:
    counted: list[Json] = [
        {
            "rows": 0,
            "loaded": batch.rows.num_rows,
            "rejected": batch.rejects.num_rows,
            "multi": int((batch.kinds >= wkb.MULTIPOINT).sum()),
            "bounds": list(batch.bounds) if batch.bounds else None,
            "counts": batch.counts,
            "reasons": batch.reasons,
            "source_kinds": batch.source_kinds,
            "nulled": batch.nulled,
        }
        for batch in cleaned
    ]
    return report.add_up(counted)


def publish(ctx: TaskContext) -> Json:
    """Check the books, make the staging table ready, and put it in the target's place or add its rows."""
    plan, totals = _read_plan(ctx), ctx.parameters["totals"]
    report.check_books(plan.rows, totals)
    report.check_rejected(plan.rows, totals, plan.options.max_rejected)
    geometry_type = publishing.prepare(ctx, plan, multi_rows=totals["multi"], loaded=totals["loaded"])
    dependents = publishing.publish(ctx, plan, rejected=totals["rejected"])
    return {
        **_result(plan, totals, geometry_type, ctx.parameters),
        "conservation": findings.conservation(plan, totals, geometry_type, str(publishing.rejects_of(plan))),
        "summary": findings.summarise(plan, totals, geometry_type),
        "operation": plan.operation.as_json(),
        "reading": plan.reading,
        "warnings": findings.warnings_of(plan, totals, dependents),
    }


def _result(plan: LoadPlan, totals: Json, geometry_type: str, parameters: Json) -> Json:
    counts = Counter[str](totals["counts"])
    return {
        "status": "success",
        "table": plan.options.table,
        "total_features_loaded": totals["loaded"],
        "upload_chunks": parameters["chunks"],
        "failed_chunks": 0,
        "geometry_type": geometry_type,
        "original_crs": plan.original_crs,
        "features_per_chunk": plan.options.chunk_size,
        "processing_time_seconds": _seconds_since(parameters["started_at"]),
        "preprocessing_stats": {
            "original_feature_count": plan.rows,
            "final_feature_count": totals["loaded"],
            "original_crs": plan.original_crs,
            "final_crs": plan.final_crs,
            "geometry_type_changes": report.type_changes(totals["source_kinds"], geometry_type),
            "z_m_values_removed": counts["z_m_removed"],
            "repaired": counts["repaired"],
        },
    }


def _seconds_since(moment: str) -> float:
    return round((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds(), 3)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)
