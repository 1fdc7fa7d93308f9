"""The handlers of process_vector: preprocess reads the source once, upload loads a chunk, publish shows the table."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pyarrow as pa

from repositories.identifiers import fit_name
from repositories.target_table import features, loading
from schema.errors import PermanentError
from schema.jobs import Json
from services.context import TaskContext
from services.crs import parse_target_crs
from services.vector import chunks
from services.vector.chunks import Chunk
from services.vector.geometry import wkb
from services.vector.geometry.crs import project_with
from services.vector.load import load_report, row_accounting, table_locks, target_check
from services.vector.load import publish as publishing
from services.vector.load.batch import REJECT_SCHEMA, REJECT_TYPES, CleanBatch, Cleaner, clean_batch, schema_of
from services.vector.load.chunk_blobs import read_batches, writing
from services.vector.load.decide import decide
from services.vector.load.encode import encode
from services.vector.load.names import layer_suffixes
from services.vector.load.plan import LoadPlan, Options
from services.vector.load.survey import Survey, survey
from services.vector.origin import Origin
from services.vector.read_options import ALL_LAYERS
from services.vector.readers.source_layer import SourceBatch, SourceLayer
from services.vector.source import layers as source_layers
from services.vector.source.fetch import fetched, find_parts


def preprocess(ctx: TaskContext) -> Json:
    """Read each layer of the source once, decide how it is loaded and make its staging tables."""
    options = Options.from_json(ctx.parameters)
    parse_target_crs(options.target_crs)
    parts = find_parts(ctx.blobs, ctx.source)
    with fetched(ctx.blobs, ctx.source, parts, ctx.check) as folder:
        origins = source_layers.choose(folder, options.read_options, parts)
        chosen = _share_out(options, origins)
        surveyed = [(load, *_read_once(ctx, folder, *load)) for load in chosen]
    decided = [(*_decide(ctx, origin, layer, found, own), found) for (own, origin), layer, found in surveyed]
    if options.dry_run:
        finds = [_tell(plan, found, exists=exists) for plan, exists, found in decided]
        told = finds[0] if len(finds) == 1 else {"status": "dry_run", "tables": finds}
        return {"dry_run": told, "chunks": chunks.pack([])}
    first, *more = [_hand_on(ctx, plan, found) for plan, _, found in decided]
    return {**first, "more": more} if more else first


def _share_out(options: Options, origins: list[Origin]) -> list[tuple[Options, Origin]]:
    """Give each layer its table: the target itself, or one that bears the layer's name where all are loaded."""
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


def _tell(plan: LoadPlan, found: Survey, *, exists: bool) -> Json:
    return load_report.dry_run(plan, found, str(target_check.rejects_of(plan)), exists=exists)


def _hand_on(ctx: TaskContext, plan: LoadPlan, found: Survey) -> Json:
    """Store a plan for the tasks that follow, make its staging tables, and say what they need to know."""
    blob = f"{_attempt_prefix(ctx)}plan{plan.staging}.json"
    ctx.blobs.write(ctx.settings.work_container, blob, json.dumps(plan.as_json()).encode())
    publishing.make_staging(ctx.transaction, ctx.job_id, plan)
    return {
        "plan": blob,
        "rows": found.rows,
        "layer": plan.layer,
        "original_crs": plan.original_crs,
        "geometry_types": dict(found.kinds),
        "chunks": chunks.pack(found.chunks),
    }


def _read_once(ctx: TaskContext, folder: Path, options: Options, origin: Origin) -> tuple[SourceLayer, Survey]:
    read_options = options.read_options
    if origin.file_format.chunking == "row_range":
        with source_layers.open_geometries(folder, origin, read_options, ctx.check) as (layer, batches):
            return layer, survey(batches, options.chunk_size, ctx.check, None)
    with source_layers.open_origin(folder, origin, read_options, ctx.check) as (layer, batches):
        if options.dry_run:
            return layer, survey(batches, options.chunk_size, ctx.check, None)
        prefix = f"{_attempt_prefix(ctx)}layer{origin.staging}/"
        with writing(prefix, partial(ctx.blobs.write, ctx.settings.work_container)) as write:
            return layer, survey(batches, options.chunk_size, ctx.check, write)


def _attempt_prefix(ctx: TaskContext) -> str:
    return f"{ctx.work_prefix}{ctx.task.attempt:04d}/"


def _decide(
    ctx: TaskContext, origin: Origin, layer: SourceLayer, found: Survey, options: Options
) -> tuple[LoadPlan, bool]:
    """Make the plan, and tell whether the target exists."""
    source = ctx.source
    with origin.named(), ctx.database.transaction() as conn:
        target = target_check.find_fixed_target(conn, options)
        plan = decide(f"{source.container}/{source.blob}", origin, layer, found, options, target)
        return plan, target_check.check_target(conn, plan) is not None


def upload(ctx: TaskContext) -> Json:
    """Clean a chunk's rows and COPY them in the transaction that finishes the task."""
    began = time.perf_counter()
    plan, chunk = _read_plan(ctx, ctx.parameters["plan"]), Chunk.from_json(ctx.parameters["chunk"])
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


_last_plan: dict[str, LoadPlan] = {}
"""The plan that was read last, by its blob: it bears job and attempt in its name, so it never changes."""


def _read_plan(ctx: TaskContext, blob: str) -> LoadPlan:
    plan = _last_plan.get(blob)
    if plan is None:
        plan = LoadPlan.from_json(json.loads(ctx.blobs.read(ctx.settings.work_container, blob)))
        _last_plan.clear()
        _last_plan[blob] = plan
    return plan


def _read_chunk(ctx: TaskContext, plan: LoadPlan, chunk: Chunk) -> Iterator[SourceBatch]:
    """Give the chunk's batches. Raises PermanentError when they are not the rows that preprocess saw."""
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
        table = publishing.staging_of(ctx.job_id, plan, publishing.REJECTS)
        loads.append((table, REJECT_SCHEMA.names, list(encode(rejects, REJECT_SCHEMA, REJECT_TYPES))))
    ctx.check()
    features.set_limits(ctx.transaction, ctx.settings.task_deadline_seconds)
    for table, columns, data in loads:
        loading.copy_rows(ctx.transaction, table, columns, data)


def _first_rejected(batch: CleanBatch) -> list[list[object]]:
    first = batch.rejects.slice(0, row_accounting.FIRST)
    return [first.column(name).to_pylist() for name in ("row_number", "reason")]


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
            "first_rejected": [list(row) for row in zip(*_first_rejected(batch), strict=True)],
        }
        for batch in cleaned
    ]
    return row_accounting.add_up(counted)


def publish(ctx: TaskContext) -> Json:
    """Check the books, make the staging tables ready, and put them in the targets' places or add their rows."""
    loads = [(_read_plan(ctx, load["plan"]), load) for load in ctx.parameters["loads"]]
    for plan, load in loads:
        with plan.origin.named():
            row_accounting.check_books(plan.rows, load["totals"])
            row_accounting.check_rejected(plan.rows, load["totals"], plan.options.max_rejected)
    types = [
        publishing.prepare(ctx, plan, multi_rows=load["totals"]["multi"], loaded=load["totals"]["loaded"])
        for plan, load in loads
    ]
    results = []
    # All jobs take the locks of several tables in one order.
    ordered = sorted(zip(loads, types, strict=True), key=lambda one: one[0][0].options.table)
    targets_held = table_locks.take(ctx, [plan for (plan, _), _ in ordered])
    for ((plan, load), geometry_type), held in zip(ordered, targets_held, strict=True):
        publishing.publish(ctx, plan, held, rejected=load["totals"]["rejected"])
        dependents = [dependent.name for dependent in held.dependents]
        results.append(_report(plan, load, geometry_type, dependents, ctx.parameters["started_at"]))
    return results[0] if len(results) == 1 else row_accounting.join_tables(results)


def _report(plan: LoadPlan, load: Json, geometry_type: str, dependents: list[str], started_at: str) -> Json:
    totals = load["totals"]
    return {
        **_result(plan, totals, geometry_type, {"chunks": load["chunks"], "started_at": started_at}),
        "conservation": load_report.conservation(plan, totals, geometry_type, str(target_check.rejects_of(plan))),
        "summary": load_report.summarise(plan, totals, geometry_type),
        "operation": plan.operation.as_json(),
        "reading": plan.reading,
        "warnings": load_report.warnings_of(plan, totals, dependents),
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
            "geometry_type_changes": row_accounting.type_changes(totals["source_kinds"], geometry_type),
            "z_m_values_removed": counts["z_m_removed"],
            "repaired": counts["repaired"],
        },
    }


def _seconds_since(moment: str) -> float:
    return round((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds(), 3)


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 3)
