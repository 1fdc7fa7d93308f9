"""The OpenAPI 3.1 document: every route, with the parameters of every job type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.base import Controller
from controllers.reports import MAX_PAGE, PAGE
from schema.jobs import JOB_ID_PATTERN, JobStatus, Json, TaskStatus

VERSION = "0.1.0"
_JSON = "application/json"
_PROBLEMS = {
    400: "Malformed, or parameters that are not valid; `errors` lists every fault.",
    404: "No such job, job type, container or blob.",
    409: "The state of the job does not allow it.",
    413: "The body is over 1 MB.",
    503: "Database or queue cannot be reached; Retry-After says when to try again.",
}


def document(controllers: Mapping[str, Controller]) -> Json:
    """Describe the HTTP interface for these job types."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Geostage",
            "version": VERSION,
            "description": "Geospatial jobs: vector files become PostGIS tables, rasters become COGs and STAC records.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/api"}],
        "security": [{"functionKey": []}, {"functionCode": []}],
        "paths": _paths(controllers),
        "components": {
            "securitySchemes": {
                "functionKey": {"type": "apiKey", "in": "header", "name": "x-functions-key"},
                "functionCode": {"type": "apiKey", "in": "query", "name": "code"},
            },
            "schemas": _schemas(),
        },
    }


def _paths(controllers: Mapping[str, Controller]) -> Json:
    job_id = {"name": "job_id", "in": "path", "required": True, "schema": {"type": "string", "pattern": JOB_ID_PATTERN}}
    page = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}),
        _query("cursor", {"type": "string"}),
    ]
    listing = [
        _query("status", {"type": "string", "enum": [status.value for status in JobStatus]}),
        _query("job_type", {"type": "string", "enum": sorted(controllers)}),
        *page,
    ]
    job = f"/jobs/{{{job_id['name']}}}"
    paths: Json = {f"/jobs/{name}": {"post": _submit(controllers[name])} for name in sorted(controllers)}
    paths |= {
        "/jobs": {"get": _get("list_jobs", "List jobs, newest first.", "JobPage", listing, (400, 503))},
        job: {"parameters": [job_id], "get": _get("get_job", "Show a job.", "Job", [], (404, 503))},
        f"{job}/tasks": {
            "parameters": [job_id],
            "get": _get("list_tasks", "List the tasks of a job.", "TaskPage", page, (400, 404, 503)),
        },
        f"{job}/explain": {
            "parameters": [job_id],
            "get": _get("explain_job", "Say why a job is where it is.", "Explanation", [], (404, 503)),
        },
        f"{job}/cancel": {"parameters": [job_id], "post": _act("cancel_job", "Cancel a job.", 200)},
        f"{job}/retry": {"parameters": [job_id], "post": _act("retry_job", "Try a failed job again.", 202)},
        "/job-types": {"get": _get("list_job_types", "List job types with their JSON Schemas.", "JobTypes", [], ())},
        "/openapi.json": {"get": _get("openapi", "This document.", "Object", [], ())},
        "/monitor/poison": {
            "get": _get("poison", "Show what was poisoned.", "PoisonPage", page, (400, 503)),
            "post": _get("poison_by_post", "The same, for monitors that know no GET.", "PoisonPage", page, (400, 503)),
        },
        "/health": {"get": _health()},
    }
    return paths


def _submit(controller: Controller) -> Json:
    header = {"in": "header", "required": False}
    summary = (type(controller).__doc__ or controller.job_type).strip().splitlines()[0]
    return {
        "operationId": f"submit_{controller.job_type}",
        "summary": summary,
        "description": "Stages: " + " -> ".join(stage.name for stage in controller.stages),
        "parameters": [
            {**header, "name": "Idempotency-Key", "schema": {"type": "string", "minLength": 1, "maxLength": 255}},
            {**header, "name": "traceparent", "schema": {"type": "string"}},
        ],
        "requestBody": {
            "required": False,
            "content": {_JSON: {"schema": _inlined(controller.Parameters.model_json_schema())}},
        },
        "responses": {
            "202": {**_content("Submission", "Accepted."), "headers": _location()},
            "200": {**_content("Submission", "A live job does this work already."), "headers": _location()},
            **_problems((400, 404, 409, 413, 503)),
        },
    }


def _get(name: str, summary: str, schema: str, parameters: list[Json], problems: tuple[int, ...]) -> Json:
    return {
        "operationId": name,
        "summary": summary,
        "parameters": parameters,
        "responses": {"200": _content(schema, "Found."), **_problems(problems)},
    }


def _act(name: str, summary: str, status: int) -> Json:
    responses = {str(status): _content("Submission", "Done."), **_problems((404, 409, 503))}
    return {"operationId": name, "summary": summary, "responses": responses}


def _health() -> Json:
    return {
        "operationId": "health",
        "summary": "Say whether Geostage can work.",
        "security": [],
        "responses": {"200": _content("Object", "It can."), "503": _content("Object", "It cannot; `checks` says why.")},
    }


def _query(name: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema}


def _content(schema: str, description: str) -> Json:
    content = {_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _location() -> Json:
    return {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}}


def _problems(statuses: tuple[int, ...]) -> Json:
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): {"description": _PROBLEMS[status], "content": {"application/problem+json": {"schema": schema}}}
        for status in statuses
    }


def _inlined(schema: Json) -> Json:
    """Put definitions in the place of their references: a JSON Schema's `#/$defs` means nothing in this document."""
    definitions = schema.pop("$defs", {})

    def inline(value: Any) -> Any:
        if isinstance(value, dict):
            name = str(value.get("$ref", "")).removeprefix("#/$defs/")
            return inline(definitions[name]) if name in definitions else {k: inline(v) for k, v in value.items()}
        return [inline(item) for item in value] if isinstance(value, list) else value

    inlined: Json = inline(schema)
    return inlined


def _schemas() -> Json:
    text, number, whole, flag = ({"type": name} for name in ("string", "number", "integer", "boolean"))
    time: Json = {"type": ["string", "null"], "format": "date-time"}
    anything: Json = {"type": "object"}
    link = _object({"rel": text, "href": text, "method": text})
    links = {"type": "array", "items": link}
    error = _object(
        {
            **dict.fromkeys(("code", "category", "message", "remediation", "task_id"), text),
            **dict.fromkeys(("retryable", "user_fixable"), flag),
            **dict.fromkeys(("stage_n", "attempt"), whole),
        }
    )
    status = {"type": "string", "enum": [value.value for value in JobStatus]}
    history = _object(
        {
            **dict.fromkeys(("stage", "status"), text),
            **dict.fromkeys(("stage_n", "task_count"), whole),
            "completed_at": time,
            "duration_seconds": number,
        }
    )
    counts = _object({value.value: whole for value in TaskStatus})
    job = {
        "job_id": text,
        "job_type": text,
        "status": status,
        "parameters": anything,
        "stages": whole,
        "current_stage_n": whole,
        "current_stage": text,
        "stage_sequence": anything,
        "stage_data": anything,
        "stage_history": {"type": "array", "items": history},
        "progress": whole,
        "tasks": {"type": "object", "additionalProperties": counts},
        "warnings": {"type": "array", "items": _object({"code": text, "message": text, "count": whole})},
        "result_data": {"type": ["object", "null"]},
        "error": {"oneOf": [error, {"type": "null"}]},
        **dict.fromkeys(("created_at", "started_at", "updated_at", "finished_at"), time),
        "links": links,
    }
    fault = _object({"field": text, "message": text})
    return {
        "Job": _object(job),
        "JobPage": _object({"jobs": {"type": "array", "items": anything}, "links": links}),
        "TaskPage": _object({"tasks": {"type": "array", "items": anything}, "links": links}),
        "Submission": _object(
            {"job_id": text, "job_type": text, "status": status, "links": links, "existing": {"type": "boolean"}}
        ),
        "PoisonPage": _object({"counts": anything, "messages": {"type": "array", "items": anything}, "links": links}),
        "Explanation": _object({"job_id": text, "status": status, "summary": text}),
        "JobTypes": _object({"job_types": {"type": "array", "items": anything}}),
        "Problem": _object(
            {
                **dict.fromkeys(("type", "title", "detail", "code", "category", "remediation"), text),
                "status": whole,
                **dict.fromkeys(("retryable", "user_fixable"), flag),
                "errors": {"type": "array", "items": fault},
            }
        ),
        "Object": anything,
    }


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties}
