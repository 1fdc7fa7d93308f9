"""Validation of what a POST says, before anything is stored. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable

from pydantic import ValidationError

from controllers.base import Controller, JobParameters, check_blob_name, check_container
from schema.clipping import clip, did_you_mean
from schema.errors import InvalidRequest, PermanentError, TooLarge
from schema.jobs import Json, Source
from schema.jsonb import MAX_DEPTH, has_nul, is_too_deep
from schema.settings import Settings

MAX_BODY_BYTES = 1_000_000
MAX_FAULTS = 100
"""Faults that an answer lists; a body may have thousands."""
JSON_TYPES = {list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def parse_body(body: bytes) -> Json:
    """Read a request body as a JSON object, whatever its content type; an empty one means {}.

    Raises
    ------
    TooLarge
        Over 1 MB.
    InvalidRequest
        Not a JSON object, or text that PostgreSQL cannot store.
    """
    if len(body) > MAX_BODY_BYTES:
        raise TooLarge(
            f"The body has {len(body):,} bytes; at most {MAX_BODY_BYTES:,} are accepted.",
            remediation="Send parameters only; the data itself goes to blob storage.",
            code="body_too_large",
        )
    # No body means the defaults, and the content type is not looked at, so that plain `curl -d` works.
    if not body.strip():
        return {}
    try:
        # Python reads NaN and Infinity, which JSON and jsonb do not have.
        value = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as exc:
        raise _invalid_json(f"is not JSON: {exc}") from exc
    if not isinstance(value, dict):
        raise _invalid_json(f"must be a JSON object, not {JSON_TYPES.get(type(value), 'a number')}")
    if is_too_deep(value):
        raise _invalid_json(f"is nested more than {MAX_DEPTH} levels deep")
    if has_nul(json.dumps(value)):
        raise _invalid_json("contains a NUL character, which no parameter may have")
    return value


def validate(controller: Controller, body: Json, settings: Settings) -> JobParameters:
    """Validate parameters against the model of the job type and the settings. Raises InvalidRequest with all faults."""
    try:
        parameters = controller.Parameters.model_validate(body, context={"settings": settings})
    except ValidationError as exc:
        raise _invalid(controller, faults_of(exc, controller.Parameters.model_fields)) from exc
    # Checked here as well: a job type may declare what names its source as plain strings.
    container, blob = controller.source(parameters) or (controller.container(parameters), "")
    field = "dataset_id"
    try:
        if container is not None:
            check_container(container, settings)
        field = "resource_id"
        check_blob_name(blob)
    except ValueError as exc:
        raise _invalid(controller, [{"field": field, "message": str(exc)}]) from exc
    return parameters


def check_source(controller: Controller, source: Source) -> None:
    """Refuse a blob that the job could not read. Raises InvalidRequest with what a task would say of it."""
    try:
        controller.check_source(source)
    except PermanentError as exc:
        raise InvalidRequest(
            exc.message,
            errors=[{"field": "resource_id", "message": exc.message}],
            remediation=exc.remediation,
            code=exc.error_code,
        ) from exc


def dedup_key(job_type: str, parameters: Json, source: Source | None) -> str:
    """Digest of all that decides what a job does: type, validated parameters, the source's ETag."""
    parts = [job_type, parameters, source.etag if source else None]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def valid_traceparent(header: str | None) -> str | None:
    """Return a W3C traceparent if it is well formed (https://www.w3.org/TR/trace-context/), else None."""
    # One that is not is dropped: a tracing header must not fail a request.
    return header if header and _TRACEPARENT.fullmatch(header) else None


def valid_idempotency_key(header: str | None) -> str | None:
    """Return the Idempotency-Key header. Raises InvalidRequest if it has over 255 characters or one not printable."""
    if header is None or not header.strip():
        return None
    if len(header) > 255 or not header.isprintable():
        raise InvalidRequest(
            "The Idempotency-Key must be 1 to 255 printable characters.",
            errors=[{"field": "Idempotency-Key", "message": "must be 1 to 255 printable characters"}],
            remediation="Send a UUID, for example.",
        )
    return header


def faults_of(error: ValidationError, names: Iterable[str] = ()) -> list[Json]:
    """List the faults of a model, each as {"field", "message"}; `names` are those of its parameters."""
    faults, known = [], list(names)
    for found in error.errors(include_url=False):
        context = found.get("ctx", {})
        # A validator of the whole model names the field in the context of its error: see controllers.base.fault.
        field = clip(".".join(str(part) for part in found["loc"]) or context.get("field", ""))
        match found["type"]:
            case "extra_forbidden":
                message = f"there is no such parameter.{did_you_mean(field, known)}".removesuffix(".")
            case "missing":
                message = "is required"
            case "string_pattern_mismatch":
                message = f"must match {context['pattern']}"
            case _:
                message = clip(found["msg"].removeprefix("Value error, "), 1_000)
        faults.append({"field": field, "message": message})
    return faults


def _invalid(controller: Controller, faults: list[Json]) -> InvalidRequest:
    listed = "; ".join(f"{fault['field'] or 'body'}: {fault['message']}" for fault in faults[:MAX_FAULTS])
    more = f" ({len(faults)} faults; the first {MAX_FAULTS} are listed)" if len(faults) > MAX_FAULTS else ""
    return InvalidRequest(
        f"The parameters of {controller.job_type} are not valid{more}. {listed}",
        errors=faults[:MAX_FAULTS],
        remediation=f"GET /api/job-types/{controller.job_type} shows what each parameter takes.",
    )


def _invalid_json(fault: str) -> InvalidRequest:
    return InvalidRequest(
        f"The body {fault}.",
        errors=[{"field": "", "message": fault}],
        remediation='Send a JSON object, such as {"n": 3}.',
        code="invalid_json",
    )


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON value")
