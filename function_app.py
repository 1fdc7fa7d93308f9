"""Every trigger of Geostage, in the order in which data flows: parse, one call, reply."""

from __future__ import annotations

import azure.functions as func

from controllers import CONTROLLERS
from controllers.deployment import Deployment
from controllers.engine import log
from controllers.engine.sweep import SCHEDULE as SWEEP_SCHEDULE
from controllers.http.openapi import document
from controllers.http.queries import refuse_unknown
from controllers.http.replies import Replies
from controllers.http.views import RETRY_AFTER, submission_view
from schema.messages import JOB_QUEUE, POISON_SUFFIX, TASK_QUEUES, JobMessage, TaskMessage
from schema.settings import STORAGE_VARIABLE

log.quiet_libraries()
app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
deployment = Deployment()
http = Replies(func.HttpResponse)


@app.route("jobs/{job_type}", methods=["POST"])
@http.answers()
def submit_job(req: func.HttpRequest) -> func.HttpResponse:
    """Accept a job."""
    key, trace = req.headers.get("Idempotency-Key"), req.headers.get("traceparent")
    accepted = deployment.engine.submit(
        req.route_params["job_type"], req.get_body(), idempotency_key=key, traceparent=trace
    )
    body = submission_view(accepted.job, existing=accepted.existing)
    headers = {"Location": f"/api/jobs/{accepted.job.job_id}", **RETRY_AFTER}
    return http.reply(body, 200 if accepted.existing else 202, headers)


@app.route("jobs", methods=["GET"])
@http.answers("status", "job_type", "limit", "cursor")
def list_jobs(req: func.HttpRequest) -> func.HttpResponse:
    """List jobs, newest first."""
    return http.reply(deployment.queries.jobs(req.params))


@app.route("jobs/{job_id}", methods=["GET"])
@http.answers()
def get_job(req: func.HttpRequest) -> func.HttpResponse:
    """Show a job."""
    view = deployment.queries.job(req.route_params["job_id"])
    return http.reply_if_changed(req, view, {} if view["finished_at"] else RETRY_AFTER)


@app.route("jobs/{job_id}/tasks", methods=["GET"])
@http.answers("limit", "cursor")
def list_tasks(req: func.HttpRequest) -> func.HttpResponse:
    """List the tasks of a job, each with its result."""
    return http.reply(deployment.queries.tasks(req.route_params["job_id"], req.params))


@app.route("jobs/{job_id}/cancel", methods=["POST"])
@http.answers()
def cancel_job(req: func.HttpRequest) -> func.HttpResponse:
    """Cancel a job."""
    job = deployment.engine.cancel(req.route_params["job_id"])
    return http.reply(submission_view(job, existing=False))


@app.route("jobs/{job_id}/retry", methods=["POST"])
@http.answers()
def retry_job(req: func.HttpRequest) -> func.HttpResponse:
    """Try a failed job again."""
    job = deployment.engine.retry(req.route_params["job_id"])
    return http.reply(submission_view(job, existing=False), 202, {"Location": f"/api/jobs/{job.job_id}"})


@app.route("jobs/{job_id}/explain", methods=["GET"])
@http.answers()
def explain_job(req: func.HttpRequest) -> func.HttpResponse:
    """Explain why a job is where it is."""
    return http.reply(deployment.queries.explain(req.route_params["job_id"]))


@app.route("job-types", methods=["GET"])
@http.answers()
def list_job_types(req: func.HttpRequest) -> func.HttpResponse:
    """List the job types with the JSON Schemas of their parameters."""
    return http.reply_if_changed(req, deployment.queries.job_types())


@app.route("job-types/{job_type}", methods=["GET"])
@http.answers()
def get_job_type(req: func.HttpRequest) -> func.HttpResponse:
    """Show a job type: its parameters, each described, and an example."""
    return http.reply_if_changed(req, deployment.queries.job_type(req.route_params["job_type"]))


@app.route("health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@http.answers()
def health(req: func.HttpRequest) -> func.HttpResponse:
    """Report whether Geostage can work."""
    del req
    healthy, report = deployment.health.look()
    return http.reply(report, 200 if healthy else 503)


@app.route("openapi.json", methods=["GET"])
@http.answers()
def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """Describe every route."""
    return http.reply_if_changed(req, document(CONTROLLERS))


@app.route("monitor/poison", methods=["GET", "POST"])
@http.answers("limit", "cursor")
def poison(req: func.HttpRequest) -> func.HttpResponse:
    """Show what was poisoned; POST puts it back or drops it."""
    if req.method == "POST":
        refuse_unknown(req.params, ())
        return http.reply(deployment.poisoned.act(req.get_body()))
    return http.reply(deployment.queries.poison(req.params))


@app.queue_trigger("message", JOB_QUEUE, STORAGE_VARIABLE)
def on_job(message: func.QueueMessage) -> None:
    """Start a stage."""
    deployment.engine.start_stage(JobMessage.decode(message.get_body()))


@app.queue_trigger("message", TASK_QUEUES["vector"], STORAGE_VARIABLE)
def on_vector_task(message: func.QueueMessage) -> None:
    """Run a vector task."""
    deployment.engine.run_task(TaskMessage.decode(message.get_body()), "vector")


@app.queue_trigger("message", TASK_QUEUES["raster"], STORAGE_VARIABLE)
def on_raster_task(message: func.QueueMessage) -> None:
    """Run a raster task."""
    deployment.engine.run_task(TaskMessage.decode(message.get_body()), "raster")


@app.queue_trigger("message", TASK_QUEUES["light"], STORAGE_VARIABLE)
def on_light_task(message: func.QueueMessage) -> None:
    """Run a light task."""
    deployment.engine.run_task(TaskMessage.decode(message.get_body()), "light")


@app.queue_trigger("message", JOB_QUEUE + POISON_SUFFIX, STORAGE_VARIABLE)
def on_job_poison(message: func.QueueMessage) -> None:
    """Look after a start that failed again and again."""
    deployment.engine.poisoned(JOB_QUEUE, message.get_body())


@app.queue_trigger("message", TASK_QUEUES["vector"] + POISON_SUFFIX, STORAGE_VARIABLE)
def on_vector_task_poison(message: func.QueueMessage) -> None:
    """Look after a vector task whose message failed again and again."""
    deployment.engine.poisoned(TASK_QUEUES["vector"], message.get_body())


@app.queue_trigger("message", TASK_QUEUES["raster"] + POISON_SUFFIX, STORAGE_VARIABLE)
def on_raster_task_poison(message: func.QueueMessage) -> None:
    """Look after a raster task whose message failed again and again."""
    deployment.engine.poisoned(TASK_QUEUES["raster"], message.get_body())


@app.queue_trigger("message", TASK_QUEUES["light"] + POISON_SUFFIX, STORAGE_VARIABLE)
def on_light_task_poison(message: func.QueueMessage) -> None:
    """Look after a light task whose message failed again and again."""
    deployment.engine.poisoned(TASK_QUEUES["light"], message.get_body())


@app.timer_trigger("timer", SWEEP_SCHEDULE)
def sweep(timer: func.TimerRequest) -> None:
    """Resend what was lost, take back what died."""
    del timer
    deployment.engine.sweep()
