"""Every trigger of Geostage, in the order in which data flows: parse, one call, respond.

The composition root: what the engine is made of, and which error is which HTTP status.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
import threading
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

import azure.functions as func

from controllers import CONTROLLERS
from controllers.engine import log
from controllers.engine.build import build_engine
from controllers.engine.child_pool import Children
from controllers.engine.engine import Engine
from controllers.engine.sweep import SCHEDULE as SWEEP_SCHEDULE
from controllers.http.health import Checks, Health
from controllers.http.openapi import document
from controllers.http.poison import PoisonedMessages
from controllers.http.queries import Reports, refuse_unknown
from controllers.http.views import RETRY_AFTER_SECONDS, submission_view
from schema import errors
from schema.messages import JOB_QUEUE, POISON_SUFFIX, TASK_QUEUES, JobMessage, TaskMessage
from schema.settings import STORAGE_VARIABLE, get_settings

STATUS_OF = {
    errors.InvalidRequest: 400,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
}
PROBLEM = "application/problem+json"
REPORT = "Report it to whoever runs this deployment: its log says where, in the line http_error."

log.quiet_libraries()
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
Respond = Callable[[func.HttpRequest], func.HttpResponse]


_making = threading.Lock()


@cache
def _engine() -> Engine:
    return build_engine(Children(get_settings()))


def engine() -> Engine:
    """Give the one engine of this process, made on first use: two would have twice the children."""
    with _making:
        return _engine()


def reports() -> Reports:
    """Give the reports on what the engine works with."""
    parts = engine()
    return Reports(parts.database, CONTROLLERS)


def poisoned() -> PoisonedMessages:
    """Give what can be done with poisoned messages."""
    parts = engine()
    return PoisonedMessages(parts.database, parts.queues)


@cache
def _health() -> Health:
    parts = _engine()
    return Health(Checks(parts.settings, parts.database, parts.queues, parts.blobs).by_name())


def checked_health() -> tuple[bool, Any]:
    """Look at every part of the deployment; the threads that look are made once."""
    with _making:
        health = _health()
    return health.look()


def answers(*query: str) -> Callable[[Respond], Respond]:
    """Refuse query parameters that are not named, and turn an error into its HTTP answer, on every route."""

    def wrap(respond: Respond) -> Respond:
        @functools.wraps(respond)
        def answer(req: func.HttpRequest) -> func.HttpResponse:
            try:
                refuse_unknown(req.params, query)
                return respond(req)
            except errors.GeostageError as exc:
                return problem(exc)
            # A caller gets a sentence for a bug of ours too; where it is, is for the log alone.
            except Exception as exc:  # noqa: BLE001
                log.event(
                    "http_error",
                    level=logging.ERROR,
                    method=req.method,
                    path=urlsplit(req.url).path,
                    reason=log.describe(exc),
                    where=log.where(exc),
                )
                return problem(errors.GeostageError("Geostage has a fault and could not answer.", remediation=REPORT))

        return answer

    return wrap


def problem(exc: errors.GeostageError) -> func.HttpResponse:
    """Make an RFC 9457 answer of an error."""
    unmapped = 503 if exc.retryable else 500
    status = next((status for kind, status in STATUS_OF.items() if isinstance(exc, kind)), unmapped)
    info = exc.info()
    body = {
        "type": f"urn:geostage:error:{info.code}",
        "title": info.code.replace("_", " ").capitalize(),
        "status": status,
        "detail": info.message,
        "code": info.code,
        "category": info.category,
        "retryable": info.retryable,
        "user_fixable": info.user_fixable,
        "remediation": info.remediation,
        "errors": getattr(exc, "errors", []),
    }
    headers = {"Retry-After": "10"} if status == 503 else {}
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype=PROBLEM, headers=headers)


def reply(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """Make a JSON answer."""
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json", headers=headers)


def reply_if_changed(req: func.HttpRequest, body: Any, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    """Make a JSON answer with an ETag, or 304 when the caller has it already."""
    etag = '"' + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32] + '"'
    # A proxy that compresses answers makes the tag a weak one.
    had = [tag.strip().removeprefix("W/") for tag in req.headers.get("If-None-Match", "").split(",")]
    if etag in had or "*" in had:
        return func.HttpResponse(status_code=304, headers={"ETag": etag})
    return reply(body, headers={"ETag": etag, **(headers or {})})


@app.route("jobs/{job_type}", methods=["POST"])
@answers()
def submit_job(req: func.HttpRequest) -> func.HttpResponse:
    """Accept a job."""
    submission = engine().submit(
        req.route_params["job_type"],
        req.get_body(),
        idempotency_key=req.headers.get("Idempotency-Key"),
        traceparent=req.headers.get("traceparent"),
    )
    job = submission.job
    return reply(
        submission_view(job, existing=submission.existing),
        200 if submission.existing else 202,
        {"Location": f"/api/jobs/{job.job_id}", "Retry-After": str(RETRY_AFTER_SECONDS)},
    )


@app.route("jobs", methods=["GET"])
@answers("status", "job_type", "limit", "cursor")
def list_jobs(req: func.HttpRequest) -> func.HttpResponse:
    """List jobs, newest first."""
    return reply(reports().jobs(req.params))


@app.route("jobs/{job_id}", methods=["GET"])
@answers()
def get_job(req: func.HttpRequest) -> func.HttpResponse:
    """Show a job."""
    view = reports().job(req.route_params["job_id"])
    return reply_if_changed(req, view, {} if view["finished_at"] else {"Retry-After": str(RETRY_AFTER_SECONDS)})


@app.route("jobs/{job_id}/tasks", methods=["GET"])
@answers("limit", "cursor")
def list_tasks(req: func.HttpRequest) -> func.HttpResponse:
    """List the tasks of a job, each with its result."""
    return reply(reports().tasks(req.route_params["job_id"], req.params))


@app.route("jobs/{job_id}/cancel", methods=["POST"])
@answers()
def cancel_job(req: func.HttpRequest) -> func.HttpResponse:
    """Cancel a job."""
    job = engine().cancel(req.route_params["job_id"])
    return reply(submission_view(job, existing=False))


@app.route("jobs/{job_id}/retry", methods=["POST"])
@answers()
def retry_job(req: func.HttpRequest) -> func.HttpResponse:
    """Try a failed job again."""
    job = engine().retry(req.route_params["job_id"])
    return reply(submission_view(job, existing=False), 202, {"Location": f"/api/jobs/{job.job_id}"})


@app.route("jobs/{job_id}/explain", methods=["GET"])
@answers()
def explain_job(req: func.HttpRequest) -> func.HttpResponse:
    """Say why a job is where it is."""
    return reply(reports().explain(req.route_params["job_id"]))


@app.route("job-types", methods=["GET"])
@answers()
def list_job_types(req: func.HttpRequest) -> func.HttpResponse:
    """List the job types with the JSON Schemas of their parameters."""
    return reply_if_changed(req, reports().job_types())


@app.route("job-types/{job_type}", methods=["GET"])
@answers()
def get_job_type(req: func.HttpRequest) -> func.HttpResponse:
    """Show a job type: its parameters, each described, and an example."""
    return reply_if_changed(req, reports().job_type(req.route_params["job_type"]))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@answers()
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Say whether Geostage can work."""
    del req
    healthy, report = checked_health()
    return reply(report, 200 if healthy else 503)


@app.route("openapi.json", methods=["GET"])
@answers()
def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Describe every route."""
    return reply_if_changed(req, document(CONTROLLERS))


@app.route("monitor/poison", methods=["GET", "POST"])
@answers("limit", "cursor")
def poison(req: func.HttpRequest) -> func.HttpResponse:
    """Show what was poisoned; POST puts it back or drops it."""
    if req.method == "POST":
        refuse_unknown(req.params, ())
        return reply(poisoned().act(req.get_body()))
    return reply(reports().poison(req.params))


@app.queue_trigger("message", JOB_QUEUE, STORAGE_VARIABLE)
def on_job(message: func.QueueMessage) -> None:
    """Start a stage."""
    engine().start_stage(JobMessage.decode(message.get_body()))


@app.queue_trigger("message", TASK_QUEUES["vector"], STORAGE_VARIABLE)
def on_vector_task(message: func.QueueMessage) -> None:
    """Run a vector task."""
    engine().run_task(TaskMessage.decode(message.get_body()), "vector")


@app.queue_trigger("message", TASK_QUEUES["raster"], STORAGE_VARIABLE)
def on_raster_task(message: func.QueueMessage) -> None:
    """Run a raster task."""
    engine().run_task(TaskMessage.decode(message.get_body()), "raster")


@app.queue_trigger("message", TASK_QUEUES["light"], STORAGE_VARIABLE)
def on_light_task(message: func.QueueMessage) -> None:
    """Run a light task."""
    engine().run_task(TaskMessage.decode(message.get_body()), "light")


@app.queue_trigger("message", JOB_QUEUE + POISON_SUFFIX, STORAGE_VARIABLE)
def on_job_poison(message: func.QueueMessage) -> None:
    """Look after a start that failed again and again."""
    engine().poisoned(JOB_QUEUE, message.get_body())


@app.queue_trigger("message", TASK_QUEUES["vector"] + POISON_SUFFIX, STORAGE_VARIABLE)
def on_vector_task_poison(message: func.QueueMessage) -> None:
    """Look after a vector task whose message failed again and again."""
    engine().poisoned(TASK_QUEUES["vector"], message.get_body())


@app.queue_trigger("message", TASK_QUEUES["raster"] + POISON_SUFFIX, STORAGE_VARIABLE)
def on_raster_task_poison(message: func.QueueMessage) -> None:
    """Look after a raster task whose message failed again and again."""
    engine().poisoned(TASK_QUEUES["raster"], message.get_body())


@app.queue_trigger("message", TASK_QUEUES["light"] + POISON_SUFFIX, STORAGE_VARIABLE)
def on_light_task_poison(message: func.QueueMessage) -> None:
    """Look after a light task whose message failed again and again."""
    engine().poisoned(TASK_QUEUES["light"], message.get_body())


@app.timer_trigger("timer", SWEEP_SCHEDULE)
def sweep(timer: func.TimerRequest) -> None:
    """Resend what was lost, take back what died."""
    del timer
    engine().sweep()
