"""Explain: why a job is where it is, in sentences, from the rows alone. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from controllers.http import schemas
from repositories.jobs.sweep import STALE_SWEEP_SECONDS
from schema.jobs import Job, JobStatus, Json, Task, TaskStatus
from schema.messages import JOB_QUEUE, TASK_QUEUES, JobMessage, TaskMessage

SHOWN_TASKS = 20
_SILENT = " The sweep has not run for minutes: no worker runs, or its timer is disabled."


def explain_job(
    job: Job, open_tasks: Sequence[Task], failed_tasks: Sequence[Task], now: datetime, sweep_age_seconds: float
) -> Json:
    """Explain what a job waits for, and which call would help.

    `open_tasks` are those of its current stage, `failed_tasks` likewise; `now` is the database's time.
    """
    silent = not job.status.ended and sweep_age_seconds > STALE_SWEEP_SECONDS
    start_message = None
    if not job.status.ended and job.stage_tasks is None:
        text = JobMessage(job.job_id, job.current_stage_n).encode()
        start_message = _message(JOB_QUEUE, text, job.resend_at, now)
    explanation = {
        "job_id": job.job_id,
        "status": job.status,
        "summary": _summary(job, open_tasks, failed_tasks, now) + (_SILENT if silent else ""),
        "start_message": start_message,
        "waiting_for": [_wait_of(task, now) for task in open_tasks[:SHOWN_TASKS]],
        "waiting_for_count": len(open_tasks),
        "failed_tasks": [
            {"task_id": task.task_id, "attempt": task.attempt, "error": task.error}
            for task in failed_tasks[:SHOWN_TASKS]
        ],
        "failed_tasks_count": len(failed_tasks),
        "next_step": _next_step(job, silent=silent),
    }
    return schemas.Explanation.model_validate(explanation).as_json()


def _summary(job: Job, open_tasks: Sequence[Task], failed: Sequence[Task], now: datetime) -> str:
    stage = f"stage {job.current_stage_n} of {job.stages} ({job.current_stage})"
    if job.status is JobStatus.CANCELLED:
        return f"The job was cancelled in {stage}."
    if job.status is JobStatus.FAILED:
        return f"The job failed in {stage}: {(job.error or {}).get('message', '')}"
    if job.status.ended:
        return f"The job has ended: {job.status}."
    if job.stage_tasks is None:
        again = f", after {job.start_failures} failed start(s)" if job.start_failures else ""
        return f"{stage.capitalize()} has not been started{again}. Its message is sent again {_at(job.resend_at, now)}."
    running = sum(task.status is TaskStatus.PROCESSING for task in open_tasks)
    said = f"{stage.capitalize()}: {running} of {job.stage_tasks} task(s) running, {len(open_tasks) - running} waiting"
    return said + (f", {len(failed)} failed." if failed else ".")


def _wait_of(task: Task, now: datetime) -> Json:
    entry: Json = {
        "task_id": task.task_id,
        "task_type": task.task_type,
        "status": task.status.value,
        "attempt": task.attempt,
    }
    if task.status is TaskStatus.PROCESSING and task.lease_until:
        entry["lease_until"] = task.lease_until
        runs, left = (now - (task.started_at or now)).total_seconds(), (task.lease_until - now).total_seconds()
        held = f"Running for {runs:.0f} s; its worker holds it for another {left:.0f} s without a heartbeat"
        lost = "Its worker stopped answering; the sweep takes it back within a minute"
        entry["why"] = held if left > 0 else lost
        return entry
    entry["message"] = _message(TASK_QUEUES[task.queue], TaskMessage(task.task_id).encode(), task.resend_at, now)
    entry["resend_at"] = task.resend_at
    if task.not_before > now:
        entry["retry_at"] = task.not_before
        entry["why"] = f"Try {task.tries + 1} of {task.max_tries} is due {_at(task.not_before, now)}"
    else:
        entry["why"] = f"Waits for a worker; its message is sent again {_at(task.resend_at, now)}"
    if task.error:
        entry["last_error"] = task.error.get("message")
    return entry


def _message(queue: str, text: str, resend_at: datetime, now: datetime) -> Json:
    """Describe a wake-up. It is unsent when its time has come: the queue was away, or nobody answered the last one."""
    return {
        "queue": queue,
        "content": json.loads(text),
        "state": "sent" if resend_at > now else "unsent",
        "next_send_at": resend_at,
    }


def _next_step(job: Job, *, silent: bool) -> Json | None:
    path = f"/api/jobs/{job.job_id}"
    submit = {"method": "POST", "href": f"/api/jobs/{job.job_type}"}
    if job.status is JobStatus.FAILED and job.work_area == "kept":
        return {"method": "POST", "href": f"{path}/retry", "why": "Runs what is not completed of this stage again."}
    if job.status is JobStatus.FAILED:
        # Many remedies end with submitting the job again themselves.
        remedy = (job.error or {}).get("remediation") or "Correct what the error names."
        said = remedy if "ubmit" in remedy else f"{remedy} Then submit the job again."
        return {**submit, "why": said}
    if job.status is JobStatus.CANCELLED:
        return {**submit, "why": "Submit it again."}
    if job.status is JobStatus.COMPLETED_WITH_ERRORS:
        return {**submit, "why": f"GET {path}/tasks shows what failed; correct it and submit the job again."}
    if job.status.ended:
        return None
    if silent:
        return {"method": "GET", "href": "/api/health", "why": "Tells what keeps the workers from running."}
    return {"method": "POST", "href": f"{path}/cancel", "why": "Nothing is needed; this ends it early."}


def _at(moment: datetime, now: datetime) -> str:
    seconds = (moment - now).total_seconds()
    return f"in {seconds:.0f} s" if seconds > 0 else "by the next sweep"
