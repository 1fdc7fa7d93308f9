"""The shapes of answers, for the OpenAPI document. Pure."""

from __future__ import annotations

from collections.abc import Collection

from schema.jobs import JobStatus, Json, TaskStatus

_TEXT, _NUMBER, _WHOLE, _FLAG = ({"type": name} for name in ("string", "number", "integer", "boolean"))
_TIME: Json = {"type": ["string", "null"], "format": "date-time"}
_ANYTHING: Json = {"type": "object"}
_COUNTS: Json = {"type": "object", "additionalProperties": {"type": "integer"}}
_STATUS: Json = {"type": "string", "enum": [status.value for status in JobStatus]}


def answer_schemas() -> Json:
    """Give the schemas of all answers, by name."""
    links = _list(_object({"rel": _TEXT, "href": _TEXT, "method": _TEXT}))
    submission = {"job_id": _TEXT, "job_type": _TEXT, "status": _STATUS, "links": links, "existing": _FLAG}
    return {
        "Job": _object({**_job(), "links": links}),
        "JobPage": _object({"jobs": _list(_ANYTHING), "links": links}),
        "TaskPage": _object({"tasks": _list(_ANYTHING), "links": links}),
        "Submission": _object(submission, optional=("existing",)),
        "PoisonPage": _object({"counts": _COUNTS, "messages": _list(_poisoned()), "links": links}),
        "PoisonOutcome": _object({"action": _TEXT, "messages": _WHOLE, "left": _WHOLE}),
        "Explanation": _explanation(),
        "Health": _object({"status": _TEXT, "checks": {"type": "object", "additionalProperties": _check()}}),
        "JobTypes": _object({"job_types": _list(_ANYTHING)}),
        "Problem": _problem(),
        "Object": _ANYTHING,
    }


def _job() -> Json:
    return {
        **dict.fromkeys(("job_id", "job_type", "current_stage"), _TEXT),
        **dict.fromkeys(("stages", "current_stage_n", "progress"), _WHOLE),
        **dict.fromkeys(("parameters", "stage_sequence", "stage_data"), _ANYTHING),
        **dict.fromkeys(("created_at", "started_at", "updated_at", "finished_at"), _TIME),
        "status": _STATUS,
        "stage_history": _list(_stage()),
        "tasks": {"type": "object", "additionalProperties": _object({status.value: _WHOLE for status in TaskStatus})},
        "warnings": _list(_object({"code": _TEXT, "message": _TEXT, "count": _WHOLE})),
        "result_data": {"type": ["object", "null"]},
        "error": {"oneOf": [_error(), {"type": "null"}]},
    }


def _poisoned() -> Json:
    nullable = {"type": ["string", "null"]}
    row = dict.fromkeys(("job_id", "task_id", "job_status", "task_status"), nullable)
    kept = {"poison_id": _WHOLE, "queue": _TEXT, "content": _TEXT, "poisoned_at": _TIME}
    return _object({**kept, **row, "error": {"type": ["object", "null"]}})


def _explanation() -> Json:
    message = _object({"queue": _TEXT, "content": _ANYTHING, "state": _TEXT, "next_send_at": _TIME})
    wait = {**dict.fromkeys(("task_id", "task_type", "status", "why", "last_error"), _TEXT), "attempt": _WHOLE}
    times = dict.fromkeys(("lease_until", "resend_at", "retry_at"), _TIME)
    step = _object({"method": _TEXT, "href": _TEXT, "why": _TEXT})
    return _object(
        {
            "job_id": _TEXT,
            "status": _STATUS,
            "summary": _TEXT,
            "waiting_for_count": _WHOLE,
            "failed_tasks_count": _WHOLE,
            "failed_tasks": _list(_ANYTHING),
            "start_message": {"oneOf": [message, {"type": "null"}]},
            "waiting_for": _list(_object({**wait, **times, "message": message}, (*times, "last_error", "message"))),
            "next_step": {"oneOf": [step, {"type": "null"}]},
        }
    )


def _check() -> Json:
    states = {"type": "string", "enum": ["ok", "waiting", "attention", "stale", "missing", "unavailable"]}
    return _object({"status": states, "message": _TEXT, "remediation": _TEXT},
                   optional=("message", "remediation"))  # fmt: skip


def _stage() -> Json:
    named = {**dict.fromkeys(("stage", "status"), _TEXT), **dict.fromkeys(("stage_n", "task_count"), _WHOLE)}
    return _object({**named, "completed_at": _TIME, "duration_seconds": _NUMBER})


def _error() -> Json:
    texts = dict.fromkeys(("code", "category", "message", "remediation", "task_id"), _TEXT)
    flags = dict.fromkeys(("retryable", "user_fixable"), _FLAG)
    places = dict.fromkeys(("stage_n", "attempt"), _WHOLE)
    return _object({**texts, **flags, **places}, optional=("task_id", *places))


def _problem() -> Json:
    texts = dict.fromkeys(("type", "title", "detail", "code", "category", "remediation"), _TEXT)
    flags = dict.fromkeys(("retryable", "user_fixable"), _FLAG)
    faults = _list(_object({"field": _TEXT, "message": _TEXT}))
    return _object({**texts, **flags, "status": _WHOLE, "errors": faults})


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _object(properties: Json, optional: Collection[str] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}
