"""The OpenAPI 3.1 document: every route, with the parameters of every job type. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from controllers.base import Controller
from controllers.http.poison import PoisonAction
from controllers.http.queries import MAX_PAGE, PAGE
from controllers.http.schemas import answer_schemas
from schema.jobs import JOB_ID_PATTERN, JobStatus, Json
from schema.version import VERSION

_JSON = "application/json"
_PROBLEMS = {
    400: "Malformed, or parameters that are not valid; `errors` lists every fault.",
    404: "No such job, job type, container, blob or poisoned message.",
    409: "The state of the job or message does not allow it.",
    413: "The body is over 1 MB.",
    500: "A fault of Geostage; its log says where.",
    503: "Database or queue cannot be reached; Retry-After says when to try again.",
}

_ALWAYS = (400, 500, 503)
"""Any route may be asked with an unknown query parameter, meet a bug, or find a server away."""


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
            "schemas": answer_schemas(),
        },
    }


def _paths(controllers: Mapping[str, Controller]) -> Json:
    job_id = _part_of_path("job_id", {"type": "string", "pattern": JOB_ID_PATTERN}, "Id of the job.")
    job_type = _part_of_path("job_type", {"enum": sorted(controllers)}, "Name of the job type.")
    page = [
        _query("limit", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": PAGE}, "Entries of a page."),
        _query("cursor", {"type": "string"}, "Place in the list, as the link `next` of a page has it."),
    ]
    listing = [
        _query("status", {"type": "string", "enum": [status.value for status in JobStatus]}, "Jobs of this status."),
        _query("job_type", {"type": "string", "enum": sorted(controllers)}, "Jobs of this type."),
        *page,
    ]
    job = "/jobs/{job_id}"
    # A path for each type, and not one for all: each has a schema of its own.
    paths: Json = {f"/jobs/{name}": {"post": _submit(controllers[name])} for name in sorted(controllers)}
    paths |= {
        "/jobs": {"get": _get("list_jobs", "List jobs, newest first.", "JobPage", listing, ())},
        job: {"parameters": [job_id], "get": _get("get_job", "Show a job.", "Job", [], (304, 404))},
        f"{job}/tasks": {
            "parameters": [job_id],
            "get": _get("list_tasks", "List the tasks of a job.", "TaskPage", page, (404,)),
        },
        f"{job}/explain": {
            "parameters": [job_id],
            "get": _get("explain_job", "Explain why a job is where it is.", "Explanation", [], (404,)),
        },
        f"{job}/cancel": {"parameters": [job_id], "post": _act("cancel_job", "Cancel a job.", 200)},
        f"{job}/retry": {"parameters": [job_id], "post": _act("retry_job", "Try a failed job again.", 202)},
        "/job-types": {
            "get": _get("list_job_types", "List job types with their JSON Schemas.", "JobTypes", [], (304,))
        },
        "/job-types/{job_type}": {
            "parameters": [job_type],
            "get": _get("get_job_type", "Show a job type with an example.", "JobType", [], (304, 404)),
        },
        "/openapi.json": {"get": _get("openapi", "This document.", "Object", [], (304,))},
        "/monitor/poison": {
            "get": _get("poison", "Show what was poisoned.", "PoisonPage", page, ()),
            "post": _poison_action(),
        },
        "/health": {"get": _health()},
    }
    return paths


def _submit(controller: Controller) -> Json:
    return {
        "operationId": f"submit_{controller.job_type}",
        "summary": controller.summary(),
        "description": "Stages: " + " -> ".join(stage.name for stage in controller.stages),
        "parameters": [
            _header(
                "Idempotency-Key",
                {"type": "string", "minLength": 1, "maxLength": 255},
                "With the same key and parameters, a job that completed within 24 hours is found again.",
            ),
            _header("traceparent", {"type": "string"}, "W3C trace context; it stands in the job's log lines."),
        ],
        "requestBody": {
            # No body means the defaults, as `curl -X POST` sends it.
            "required": False,
            "content": {
                _JSON: {"schema": _inlined(controller.Parameters.model_json_schema()), "example": controller.example}
            },
        },
        "responses": {
            "202": {**_content("Submission", "Accepted."), "headers": _location()},
            "200": {**_content("Submission", "A live job does this work already."), "headers": _location()},
            **_problems((404, 409, 413)),
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
    responses = {str(status): _content("Submission", "Done."), **_problems((404, 409))}
    return {"operationId": name, "summary": summary, "responses": responses}


def _poison_action() -> Json:
    return {
        "operationId": "act_on_poison",
        "summary": "Put poisoned messages back into their queues, or drop them: one or all.",
        "requestBody": {"required": True, "content": {_JSON: {"schema": _inlined(PoisonAction.model_json_schema())}}},
        "responses": {"200": _content("PoisonOutcome", "Done."), **_problems((404, 409, 413))},
    }


def _health() -> Json:
    # A 503 of health is its report, or a problem where settings are missing.
    unavailable = _content("Health", "It cannot; `checks` says why.")
    unavailable["content"] |= _problems(())["503"]["content"]
    return {
        "operationId": "health",
        "summary": "Report whether Geostage can work.",
        # A load balancer asks without a key.
        "security": [],
        "responses": {**_problems(()), "200": _content("Health", "It can."), "503": unavailable},
    }


def _part_of_path(name: str, schema: Json, meaning: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": schema, "description": meaning}


def _header(name: str, schema: Json, meaning: str) -> Json:
    return {"name": name, "in": "header", "required": False, "schema": schema, "description": meaning}


def _query(name: str, schema: Json, meaning: str) -> Json:
    return {"name": name, "in": "query", "required": False, "schema": schema, "description": meaning}


def _content(schema: str, description: str) -> Json:
    content = {_JSON: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"description": description, "content": content}


def _location() -> Json:
    return {"Location": {"description": "Path of the job.", "schema": {"type": "string"}}}


def _problems(statuses: tuple[int, ...]) -> Json:
    """Return the answers besides success: those named, and those that every route may give."""
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    named = {status: {"description": _PROBLEMS[status], "content": content} for status in {*statuses, *_ALWAYS} - {304}}
    if 304 in statuses:
        named[304] = {"description": "The caller has it already: its If-None-Match is the ETag."}
    return {str(status): named[status] for status in sorted(named)}


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
