"""Transitions: what happens to a job whose row is locked. Each runs inside the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from controllers.base import Controller, JobOutcome
from controllers.engine import log
from repositories.jobs import jobs, tasks
from repositories.jobs.tasks import StageSummary, WakeUp
from repositories.postgres import Connection
from schema.errors import ErrorInfo, GeostageError, NotFound, PermanentError, TransientError
from schema.jobs import Job, JobStatus, Json, Stage, Task, TaskResult
from schema.settings import Settings


@dataclass(frozen=True)
class AfterCommit:
    """What a committed transaction leaves to the dispatcher."""

    moved: Job | None = None
    """A job that has ended, or whose current stage is to be started by a message."""
    wake_ups: Sequence[WakeUp] = ()
    """Tasks whose messages are due."""
    delay_seconds: float = 0
    """Until the messages become visible."""


class FenceBroken(Exception):
    """The task was cancelled or taken over: its transaction rolls back, effects included."""


@dataclass(frozen=True)
class Transitions:
    """The moves of a locked job, for the controllers and settings of this deployment.

    Each returns the job if it moved: it has ended, or its next stage is to be started, by the caller or by a message.
    """

    controller_of: Callable[[str], Controller]
    settings: Settings

    def finish(self, conn: Connection, task: Task, result: Json) -> Job | None:
        """Complete a task behind its fence; the last finisher of a stage moves the job on. Raises FenceBroken."""
        job, held, ended = tasks.finish_task(conn, task, result)
        if not held or job is None or job.status is not JobStatus.PROCESSING or job.current_stage_n != task.stage_n:
            raise FenceBroken
        return self.advance(conn, job) if ended else None

    def fail(self, conn: Connection, task: Task, error: Json, *, expired: bool = False) -> Job | None:
        """Fail a task for good, and its job too where the stage is fail_fast. Raises FenceBroken."""
        job = jobs.lock_job(conn, task.job_id)
        if job is None or tasks.fail_task(conn, task, error, expired=expired) is None:
            raise FenceBroken
        try:
            fails_fast = self.stage_of(job).on_failure == "fail_fast"
        except (NotFound, IndexError):
            # The job type, or this stage of it, is not in this deployment any more: nobody else can end the job.
            fails_fast = True
        if fails_fast:
            return self.fail_job(conn, job, error)
        return self.advance(conn, job) if tasks.stage_has_ended(conn, job.job_id, task.stage_n) else None

    def advance(self, conn: Connection, job: Job) -> Job | None:
        """Move a job whose current stage has ended to the next one, or to its end.

        An error of the controller fails the job in this same transaction; the tasks stay as they are.
        """
        # Open tasks are looked for under the job's lock and not counted down: a counter may drift, and every change of
        # it would leave a dead version of the job's row.
        summary = tasks.stage_summary(conn, job.job_id, job.current_stage_n)
        if summary.unfinished or summary.task_count != job.stage_tasks:
            raise AssertionError(f"stage {job.current_stage_n} of {job.job_id} has not ended: {summary}")
        results = tasks.stage_results(conn, job.job_id, job.current_stage_n)
        try:
            # A savepoint: what the controller raises must not undo the finish of the task before it.
            with conn.transaction():
                return self._leave_stage(conn, job, summary, results)
        # Whatever a controller raises must end the job: the finish of its last task would roll back for ever.
        except Exception as exc:  # noqa: BLE001
            # Errors of ours are about the input; anything else is a fault of the controller, and is logged.
            if not isinstance(exc, GeostageError):
                log.event(
                    "controller_error", job=job, level=logging.ERROR, reason=log.describe(exc), where=log.where(exc)
                )
            return self.fail_job(conn, job, controller_error(exc, "aggregate the results of", job).as_json())

    def fail_job(self, conn: Connection, job: Job, error: Json) -> Job | None:
        """End a job as failed, with all of its open tasks."""
        # A retry needs the input of its tasks, so the work area of a retryable failure is kept for a while.
        retryable = bool(error.get("retryable"))
        summary = tasks.stage_summary(conn, job.job_id, job.current_stage_n)
        return self.end(conn, job, JobStatus.FAILED, error=error, summary=summary, keep_work_area=retryable)

    def end(
        self,
        conn: Connection,
        job: Job,
        status: JobStatus,
        *,
        error: Json | None = None,
        outcome: JobOutcome | None = None,
        summary: StageSummary | None = None,
        keep_work_area: bool = False,
    ) -> Job | None:
        """End a job; one that has already ended stays as it is."""
        keep_for = timedelta(hours=self.settings.work_retention_hours) if keep_work_area else timedelta()
        return jobs.end_job(
            conn,
            job.job_id,
            status,
            clear_after=keep_for,
            result_data=outcome.result_data if outcome else None,
            warnings=outcome.warnings if outcome else (),
            error=error,
            history=[history_entry(job, summary, status)] if summary else (),
        )

    def stage_of(self, job: Job) -> Stage:
        """Return the current stage of a job as its controller declares it."""
        return self.controller_of(job.job_type).stages[job.current_stage_n - 1]

    def _leave_stage(
        self, conn: Connection, job: Job, summary: StageSummary, results: Sequence[TaskResult]
    ) -> Job | None:
        """Move a job to its next stage with what its controller hands on, or to the end that its controller decides."""
        controller = self.controller_of(job.job_type)
        entry = history_entry(job, summary, JobStatus.COMPLETED_WITH_ERRORS if summary.failed else JobStatus.COMPLETED)
        if job.current_stage_n < job.stages:
            hand_over = controller.stage_data(self.stage_of(job), job, results)
            resend_after = timedelta(seconds=self.settings.sweep_resend_seconds / 2)
            return jobs.advance_job(conn, job, stage_data=hand_over, entry=entry, resend_after=resend_after)
        # The controller sees the history whole, though the last entry is only now written.
        outcome = controller.aggregate_results(replace(job, stage_history=[*job.stage_history, entry]), results)
        error = None
        if outcome.status is JobStatus.FAILED:
            too_many_failed = ErrorInfo(
                code="tasks_failed",
                category="task",
                message=f"Too many tasks of stage {job.current_stage} failed.",
                remediation=f"GET /api/jobs/{job.job_id}/tasks shows the error of each task; "
                "POST .../retry runs those tasks again.",
                retryable=True,
                user_fixable=False,
                stage_n=job.current_stage_n,
            )
            error = outcome.error or too_many_failed.as_json()
        keep = bool(error and error.get("retryable"))
        return self.end(conn, job, outcome.status, error=error, outcome=outcome, summary=summary, keep_work_area=keep)


def history_entry(job: Job, summary: StageSummary, status: JobStatus) -> Json:
    """Return the entry of an ended stage, with measured times."""
    return {
        "stage_n": job.current_stage_n,
        "stage": job.current_stage,
        "task_count": summary.task_count,
        "status": status.value,
        "completed_at": summary.completed_at.isoformat(),
        "duration_seconds": round(summary.duration_seconds, 3),
    }


def controller_error(error: Exception, doing: str, job: Job) -> ErrorInfo:
    """Return the error of a job whose controller raised an exception."""
    if isinstance(error, (PermanentError, TransientError)):
        # A controller that passes on the error of a task says of which.
        of = {key: error.details.get(key) for key in ("task_id", "attempt")}
        return error.info(stage_n=job.current_stage_n, **of)
    return ErrorInfo(
        code="controller_error",
        category="internal",
        message=f"The job type {job.job_type} could not {doing} stage {job.current_stage}: {log.describe(error)}",
        remediation=f"POST /api/jobs/{job.job_id}/retry once the job type is fixed; completed tasks are kept.",
        retryable=True,
        user_fixable=False,
        stage_n=job.current_stage_n,
    )
