"""What an ended job made, in a few lines, and the next step. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from geostage_client.errors import ClientError
from geostage_client.output import size_of
from geostage_client.progress import tasks_in_words

Json = dict[str, Any]
Field = tuple[str, str]
MAX_LINES = 60
"""Of a result that is printed as it is; --json has all of it."""


def describe(job: Json, *, local: bool) -> list[Field]:
    """Return labels and texts about a job that has ended or runs; `local` when its stack is on this machine."""
    fields = [("job", f"{job['job_id']} {job['job_type']}"), ("status", _status(job))]
    for stage in job.get("stage_history") or []:
        tasks = "1 task" if stage["task_count"] == 1 else f"{stage['task_count']} tasks"
        fields.append(("stage", f"{stage['stage']}, {tasks}, {stage['duration_seconds']:.2f} s"))
    fields += _result(job)
    fields += [("warning", str(warning.get("message", warning))) for warning in job.get("warnings") or []]
    return [*fields, *(("next", step) for step in _next_steps(job, local=local))]


def failure_of(job: Json) -> ClientError | None:
    """Return the error of a job that did not do all that it was asked; None for one that did, or still runs."""
    job_id, error = job["job_id"], job.get("error") or {}
    if job["status"] == "failed":
        retry = any(link["rel"] == "retry" for link in job.get("links", []))
        again = f" Or run it again as it is: geostage retry {job_id}" if retry else ""
        return ClientError(
            str(error.get("message", "The job failed.")),
            remedy=f"{error.get('remediation', '')}{again}".strip(),
            code=str(error.get("code", "failed")),
        )
    if job["status"] == "cancelled":
        return ClientError("The job was cancelled.", remedy="Submit it again.", code="cancelled")
    if job["status"] == "completed_with_errors":
        failed = sum(counts.get("failed", 0) for counts in job["tasks"].values())
        return ClientError(
            f"The job completed, but {failed} of its tasks failed.",
            remedy=f"geostage show {job_id} --tasks shows which and why.",
            code="completed_with_errors",
        )
    return None


def _status(job: Json) -> str:
    if job.get("finished_at"):
        began, ended = (datetime.fromisoformat(job[key]) for key in ("created_at", "finished_at"))
        return f"{job['status']} after {(ended - began).total_seconds():.1f} s"
    counts = (job.get("tasks") or {}).get(str(job["current_stage_n"]), {})
    said = f"{job['status']}, {job['progress']} %, stage {job['current_stage_n']} of {job['stages']}"
    return f"{said} ({job['current_stage']}) {tasks_in_words(counts)}".rstrip()


def _result(job: Json) -> list[Field]:
    result = job.get("result_data")
    if not isinstance(result, dict):
        return []
    if job["job_type"] == "process_vector":
        tables = result.get("tables") or [result]
        describe_table = _dry_run if result.get("status") == "dry_run" else _table
        return [field for table in tables for field in describe_table(table)]
    if "cog_path" in result:
        return list(_raster(result))
    lines = json.dumps(result, indent=2, ensure_ascii=False).splitlines()
    shown = [("result" if number == 0 else "", line) for number, line in enumerate(lines[:MAX_LINES])]
    more = len(lines) - len(shown)
    return [*shown, ("", f"... {more} more lines: --json has all of it")] if more else shown


def _table(result: Json) -> Iterator[Field]:
    books = result.get("conservation") or {}
    yield "table", f"{result['table']}, {result.get('geometry_type')}, {(result.get('summary') or {}).get('crs')}"
    yield "rows", f"{result['total_features_loaded']:,} loaded of {books.get('rows_in', 0):,}"
    if books.get("rows_rejected"):
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in (books.get("reasons") or {}).items())
        yield "rejected", f"{books['rows_rejected']:,} ({reasons}), kept in {books.get('rejects_table')}"
    changed = {
        "repaired": "repaired",
        "longitudes_wrapped": "wrapped at 180 degrees",
        "antimeridian_cut": "cut at the antimeridian",
        "z_m_removed": "without their Z and M",
        "curves_linearised": "curves turned into lines",
        "null_geometries_kept": "kept without a geometry",
    }
    said = [f"{books[name]:,} {words}" for name, words in changed.items() if books.get(name)]
    if said:
        yield "changed", ", ".join(said)


def _dry_run(result: Json) -> Iterator[Field]:
    exists = (result.get("findings") or {}).get("target_exists")
    yield "dry run", "nothing was loaded"
    yield "table", f"{result['table']}, which {'exists' if exists else 'does not exist yet'}: {result['load_method']}"
    for layer in result.get("layers") or []:
        kinds = ", ".join(f"{count:,} {kind or 'without geometry'}" for kind, count in layer["geometry_types"].items())
        yield "layer", f"{layer['name']}: {layer['features']:,} features ({kinds})"
    yield "crs", f"{result.get('original_crs')} -> {result.get('final_crs')}"
    yield "columns", ", ".join(f"{column['name']} {column['type']}" for column in result.get("columns") or [])


def _raster(result: Json) -> Iterator[Field]:
    yield "cog", f"{result['cog_path']}, {size_of(result.get('size_bytes', 0))}"
    after = (result.get("report") or {}).get("after") or {}
    if after:
        bands = after.get("bands")
        pixels = f"{after.get('width'):,} x {after.get('height'):,} pixels"
        yield "raster", f"{pixels}, {bands} band{'' if bands == 1 else 's'} {after.get('dtype')}, {after.get('crs')}"
    if result.get("stac_id"):
        yield "stac", f"item {result['stac_id']} of collection {result.get('collection_id')}"


def _next_steps(job: Json, *, local: bool) -> Sequence[str]:
    if not job.get("finished_at"):
        return [f"geostage follow {job['job_id']}"]
    result = job.get("result_data") or {}
    if job["status"] != "completed" or not isinstance(result, dict):
        return []
    if result.get("status") == "dry_run":
        return ["the same command without --dry-run loads it"]
    if job["job_type"] == "process_vector":
        tables = [table["table"] for table in result.get("tables") or [result]]
        steps = [f"SELECT * FROM {table} LIMIT 5;" for table in tables]  # noqa: S608 - is shown, not run
    elif "cog_path" in result:
        steps = []
    else:
        return []
    return [*steps, "./dev env --qgis shows how QGIS and GDAL open it"] if local else steps
