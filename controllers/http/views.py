"""Views: rows as answers show them. Pure."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from controllers.base import Controller
from controllers.engine.progress import TaskCounts, progress_of
from controllers.http import schemas
from schema.errors import InvalidRequest
from schema.jobs import JOB_ID_PATTERN, Job, JobStatus, Json, Task, TaskStatus

RETRY_AFTER = {"Retry-After": "1"}
"""Seconds after which a running job is worth another look."""
KEY_PARAMETER = "code"
"""The Functions key, which the platform takes from the query."""
MAX_POSITION = 2**63 - 1


def job_view(job: Job, counts: TaskCounts) -> Json:
    """Show a job as GET /api/jobs/{job_id} does."""
    # Every status, also those without a task: a client reads a count without asking first whether it is there.
    tasks = {
        str(stage_n): {status.value: by_status.get(status, 0) for status in TaskStatus}
        for stage_n, by_status in counts.items()
    }
    return schemas.Job.model_validate(
        {
            **_summary(job, counts),
            "parameters": job.parameters,
            "stages": job.stages,
            "current_stage_n": job.current_stage_n,
            "stage_sequence": job.stage_sequence,
            "stage_data": job.stage_data,
            "stage_history": job.stage_history,
            "tasks": tasks,
            "warnings": job.warnings,
            "result_data": job.result_data,
            "started_at": job.started_at,
            "links": job_links(job),
        }
    ).as_json()


def job_summary(job: Job, counts: TaskCounts) -> Json:
    """Show a job as a line of GET /api/jobs."""
    return schemas.JobSummary.model_validate({**_summary(job, counts), "links": job_links(job)[:1]}).as_json()


def _summary(job: Job, counts: TaskCounts) -> Json:
    return {
        "job_id": job.job_id,
        "job_type": job.job_type,
        "status": job.status,
        "current_stage": job.current_stage,
        "progress": progress_of(job, counts),
        "created_at": job.created_at,
        "updated_at": job.updated_at,
        "finished_at": job.finished_at,
        "error": job.error,
    }


def submission_view(job: Job, *, existing: bool) -> Json:
    """Show an accepted job as POST /api/jobs/{job_type} does."""
    accepted = {"job_id": job.job_id, "job_type": job.job_type, "status": job.status, "links": job_links(job)}
    return schemas.Submission.model_validate(accepted | ({"existing": True} if existing else {})).as_json()


def job_type_view(controller: Controller) -> Json:
    """Show a job type as GET /api/job-types/{job_type} does: what it takes, and an example that works.

    `parameters` is the JSON Schema of what the type uses. `labels` are the schemas of those that it only stores.
    """
    schema = controller.Parameters.model_json_schema()
    labels = {name: schema["properties"].pop(name) for name in controller.Parameters.labels()}
    return schemas.JobType(
        job_type=controller.job_type,
        description=controller.summary(),
        stages=[stage.name for stage in controller.stages],
        parameters=schema,
        labels=labels,
        example=controller.example,
        links=[
            _link("self", f"/api/job-types/{controller.job_type}"),
            _link("submit", f"/api/jobs/{controller.job_type}", "POST"),
        ],
    ).as_json()


def task_view(task: Task) -> Json:
    """Show a task as GET /api/jobs/{job_id}/tasks does."""
    return schemas.Task.model_validate({name: getattr(task, name) for name in schemas.Task.model_fields}).as_json()


def job_links(job: Job) -> list[schemas.Link]:
    """List what can be asked of a job now; links are paths."""
    # Paths and no addresses: behind a gateway the host that a caller sees is not the one that the app sees.
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


def next_link(path: str, query: Mapping[str, Any], cursor: str | None) -> list[Json]:
    """Return the link to the next page of a list, if there is one; it never carries the caller's key."""
    if cursor is None:
        return []
    # Links end up in logs and in documents of others.
    asked = {key: value for key, value in query.items() if key != KEY_PARAMETER}
    return [_link("next", f"{path}?{urlencode({**asked, 'cursor': cursor})}").as_json()]


def encode_cursor(*position: str | int) -> str:
    """Make an opaque cursor of a place in a list."""
    return base64.urlsafe_b64encode(json.dumps(position).encode()).decode().rstrip("=")


def decode_cursor(cursor: str, kinds: tuple[type, ...]) -> tuple[Any, ...]:
    """Read a cursor. Raises InvalidRequest for one that no page gave out."""
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    # RecursionError: a cursor may be made of ten thousand brackets.
    except (ValueError, binascii.Error, RecursionError) as exc:
        raise _bad_cursor() from exc
    if not isinstance(position, list) or len(position) != len(kinds):
        raise _bad_cursor()
    for part, kind in zip(position, kinds, strict=True):
        # It becomes a parameter of a statement: a NUL, or a number beyond bigint, would be an error of PostgreSQL.
        is_id = kind is str and isinstance(part, str) and re.fullmatch(JOB_ID_PATTERN, part)
        is_number = kind is int and type(part) is int and 0 <= part <= MAX_POSITION
        if not is_id and not is_number:
            raise _bad_cursor()
    return tuple(position)


def _bad_cursor() -> InvalidRequest:
    fault = {"field": "cursor", "message": "is not a cursor of this list"}
    return InvalidRequest(
        "The cursor is not one of this list.", errors=[fault], remediation="Follow the link `next` of a page."
    )


def _link(rel: str, href: str, method: str = "GET") -> schemas.Link:
    return schemas.Link(rel=rel, href=href, method=method)
