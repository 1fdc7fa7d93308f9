"""Views: rows as answers show them. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from controllers.base import Controller
from schema.errors import InvalidRequest
from schema.jobs import JOB_ID_PATTERN, Job, JobStatus, Json, Task, TaskStatus

TaskCounts = Mapping[int, Mapping[str, int]]
"""Tasks by stage number and status."""

RETRY_AFTER_SECONDS = 1
KEY_PARAMETER = "code"
"""The Functions key, which the platform takes from the query."""
MAX_POSITION = 2**63 - 1
Link = dict[str, str]


def progress_of(job: Job, counts: TaskCounts) -> int:
    """Percent of the work done: ended stages, and the share of ended tasks of the current one; it never falls.

    A cancelled task counts as not done, and what a retry puts back stays counted through `progress_floor`.
    """
    if job.status in (JobStatus.COMPLETED, JobStatus.COMPLETED_WITH_ERRORS):
        return 100
    current = counts.get(job.current_stage_n, {})
    done = current.get(TaskStatus.COMPLETED, 0) + current.get(TaskStatus.FAILED, 0)
    total = sum(current.values())
    stages_done = job.current_stage_n - 1
    reached = (100 * (stages_done * total + done)) // (job.stages * total) if total else 100 * stages_done // job.stages
    return max(reached, job.progress_floor)


def job_view(job: Job, counts: TaskCounts) -> Json:
    """Show a job as GET /api/jobs/{job_id} does."""
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "status": job.status.value,
        "parameters": job.parameters,
        "stages": job.stages,
        "current_stage_n": job.current_stage_n,
        "current_stage": job.current_stage,
        "stage_sequence": job.stage_sequence,
        "stage_data": job.stage_data,
        "stage_history": job.stage_history,
        "progress": progress_of(job, counts),
        "tasks": {
            str(stage_n): {status.value: by_status.get(status, 0) for status in TaskStatus}
            for stage_n, by_status in counts.items()
        },
        "warnings": job.warnings,
        "result_data": job.result_data,
        "error": job.error,
        "created_at": _time(job.created_at),
        "started_at": _time(job.started_at),
        "updated_at": _time(job.updated_at),
        "finished_at": _time(job.finished_at),
        "links": job_links(job),
    }


def job_summary(job: Job, counts: TaskCounts) -> Json:
    """Show a job as a line of GET /api/jobs."""
    shown = ("job_id", "job_type", "status", "current_stage", "progress", "created_at", "updated_at", "finished_at")
    view = job_view(job, counts)
    return {**{key: view[key] for key in shown}, "error": view["error"], "links": view["links"][:1]}


def submission_view(job: Job, *, existing: bool) -> Json:
    """Show an accepted job as POST /api/jobs/{job_type} does."""
    view: Json = {"job_id": job.job_id, "job_type": job.job_type, "status": job.status.value, "links": job_links(job)}
    return {**view, "existing": True} if existing else view


def job_type_view(controller: Controller) -> Json:
    """Show a job type as GET /api/job-types/{job_type} does: what it takes, and an example that works.

    `parameters` is the JSON Schema of what the type uses. `labels` are the schemas of those that it only stores.
    """
    schema = controller.Parameters.model_json_schema()
    labels = {name: schema["properties"].pop(name) for name in controller.Parameters.labels()}
    return {
        "job_type": controller.job_type,
        "description": controller.summary(),
        "stages": [stage.name for stage in controller.stages],
        "parameters": schema,
        "labels": labels,
        "example": controller.example,
        "links": [
            _link("self", f"/api/job-types/{controller.job_type}"),
            _link("submit", f"/api/jobs/{controller.job_type}", "POST"),
        ],
    }


def task_view(task: Task) -> Json:
    """Show a task as GET /api/jobs/{job_id}/tasks does."""
    return {
        "task_id": task.task_id,
        "stage_n": task.stage_n,
        "task_index": task.task_index,
        "task_type": task.task_type,
        "status": task.status.value,
        "attempt": task.attempt,
        "tries": task.tries,
        "result": task.result,
        "error": task.error,
        "created_at": _time(task.created_at),
        "started_at": _time(task.started_at),
        "finished_at": _time(task.finished_at),
    }


def job_links(job: Job) -> list[Link]:
    """List what can be asked of a job now; links are paths."""
    path = f"/api/jobs/{job.job_id}"
    links = [
        _link("self", path),
        _link("tasks", f"{path}/tasks"),
        _link("explain", f"{path}/explain"),
    ]
    if not job.status.ended:
        links.append(_link("cancel", f"{path}/cancel", "POST"))
    if job.status is JobStatus.FAILED and job.work_area == "kept":
        links.append(_link("retry", f"{path}/retry", "POST"))
    return links


def page_view(name: str, items: Sequence[Json], *, path: str, query: Mapping[str, Any], cursor: str | None) -> Json:
    """Show a page of a list, with the path of the next one if there is one; it never bears the caller's key."""
    links = []
    if cursor:
        asked = {key: value for key, value in query.items() if key != KEY_PARAMETER}
        links.append(_link("next", f"{path}?{urlencode({**asked, 'cursor': cursor})}"))
    return {name: list(items), "links": links}


def encode_cursor(*position: str | int) -> str:
    """Make an opaque cursor of a place in a list."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Read a cursor. Raises InvalidRequest for one that no page gave out."""
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise _bad_cursor() from exc
    if not isinstance(position, list) or len(position) != len(kinds) or not all(map(_is_position, position, kinds)):
        raise _bad_cursor()
    return tuple(position)


def _is_position(part: object, kind: type) -> bool:
    if isinstance(part, str):
        return kind is str and re.fullmatch(JOB_ID_PATTERN, part) is not None
    return kind is int and type(part) is int and 0 <= part <= MAX_POSITION


def _bad_cursor() -> InvalidRequest:
    fault = {"field": "cursor", "message": "is not a cursor of this list"}
    return InvalidRequest(
        "The cursor is not one of this list.", errors=[fault], remediation="Follow the link `next` of a page."
    )


def _link(rel: str, href: str, method: str = "GET") -> Link:
    return {"rel": rel, "href": href, "method": method}


def _time(value: datetime | None) -> str | None:
    return value.isoformat() if value else None
