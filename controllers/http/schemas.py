"""The shapes of answers, for the OpenAPI document. Pure."""

from __future__ import annotations

from collections.abc import Collection

from schema.jobs import JobStatus, Json, TaskStatus

_TEXT, _NUMBER, _WHOLE, _FLAG = ({"type": name} for name in ("string", "number", "integer", "boolean"))
_TIME: Json = {"type": ["string", "null"], "format": "date-time"}
_ANYTHING: Json = {"type": "object"}
_COUNTS: Json = {"type": "object", "additionalProperties": {"type": "integer"}}
_STATUS: Json = {"type": "string", "enum": [status.value for status in JobStatus]}
_MEANINGS = {
    "action": "What was done.",
    "attempt": "Number of the try, from 1; it only grows.",
    "category": "Whose the fault is: of the input, of a server, of a task, and so on.",
    "checks": "State of each part, by its name.",
    "code": "Name of the error or warning, for programs.",
    "completed_at": "When its last task ended.",
    "content": "What the message says.",
    "count": "How many rows, pixels or files it is about.",
    "counts": "Kept messages by queue.",
    "created_at": "When the job was accepted.",
    "current_stage": "Name of the stage that runs, or ran last.",
    "current_stage_n": "Number of that stage, from 1.",
    "description": "What the job type does.",
    "detail": "What was wrong, in a sentence.",
    "duration_seconds": "From the first task's start to the last one's end.",
    "error": "What went wrong; null where nothing did.",
    "errors": "Every fault of the request.",
    "example": "Parameters that work, with the files of ./dev demo.",
    "existing": "true: a live job did this work already, and this is that job.",
    "failed_tasks": "Tasks of the current stage that have failed, 20 at most.",
    "failed_tasks_count": "How many they are in all.",
    "field": "Parameter, header or query parameter; empty for the body as a whole.",
    "finished_at": "When the job ended; null while it runs.",
    "href": "Path to call.",
    "job_id": "Id of the job.",
    "job_status": "Status of the job that the message points at.",
    "job_type": "Name of the job type.",
    "job_types": "All job types, by name.",
    "jobs": "Jobs, newest first.",
    "labels": "JSON Schemas of parameters that the type accepts, stores and shows, and does not use.",
    "last_error": "What the last try failed with.",
    "lease_until": "Until when its worker holds it without another heartbeat.",
    "left": "How many messages are left.",
    "links": "What can be called next.",
    "message": "What happened, or what is sent.",
    "messages": "Kept messages, or how many were acted on.",
    "method": "HTTP method of the call.",
    "next_send_at": "When it is sent again if nobody answers.",
    "next_step": "The call that would help; null where none would.",
    "parameters": "Parameters of the job, or the JSON Schema of those that a type uses.",
    "poison_id": "Number of the kept message.",
    "poisoned_at": "When the message was kept.",
    "progress": "Percent of the work that is done; it never falls.",
    "queue": "Name of the queue.",
    "rel": "What the link is for.",
    "remediation": "What to do about it.",
    "resend_at": "When its message is sent again if nobody answers.",
    "result_data": "The job's result; null until it has one.",
    "retry_at": "When its next try is due.",
    "retryable": "Whether another try may succeed as things are.",
    "stage": "Name of the stage.",
    "stage_data": "What ended stages hand on to later ones.",
    "stage_history": "Stages that have ended.",
    "stage_n": "Number of the stage, from 1.",
    "stage_sequence": "Names of all stages, by number.",
    "stages": "Stages: of a job how many, of a job type their names.",
    "start_message": "The message that starts the current stage; null once it was started.",
    "started_at": "When the first task started.",
    "state": "sent, or unsent when its time has come.",
    "status": "State of the job, task, stage, part or deployment; in a problem the HTTP status.",
    "summary": "Where the job stands, in a sentence.",
    "task_count": "How many tasks it had.",
    "task_id": "Id of the task.",
    "task_status": "Status of the task that the message points at.",
    "task_type": "Name of the task's handler.",
    "tasks": "Tasks: of a job their number by stage and status, of a page themselves.",
    "title": "The code in words.",
    "type": "URI of the kind of error.",
    "updated_at": "When the job last changed.",
    "user_fixable": "Whether the caller can do something about it.",
    "waiting_for": "Open tasks of the current stage, 20 at most.",
    "waiting_for_count": "How many they are in all.",
    "warnings": "What was changed or lost on the way.",
    "why": "The reason, in a sentence.",
    **{status.value: f"Tasks that are {status.value}." for status in TaskStatus},
}
"""What each key of an answer means."""


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
        "JobTypes": _object({"job_types": _list(_job_type(links))}),
        "JobType": _job_type(links),
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


def _job_type(links: Json) -> Json:
    texts = dict.fromkeys(("job_type", "description"), _TEXT)
    objects = dict.fromkeys(("parameters", "labels", "example"), _ANYTHING)
    return _object({**texts, "stages": _list(_TEXT), **objects, "links": links})


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
    described = {name: {**schema, "description": _MEANINGS[name]} for name, schema in properties.items()}
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": described, "required": required}
