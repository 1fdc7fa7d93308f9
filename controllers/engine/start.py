"""Starting a stage: its controller decides the tasks, and whoever comes first writes them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from controllers.engine import log
from controllers.engine.transitions import AfterCommit, Transitions, controller_error
from repositories.jobs import jobs, tasks
from repositories.jobs.tasks import WakeUp
from repositories.postgres import Connection, Database
from schema.errors import GeostageError, PermanentError
from schema.jobs import Job, TaskSpec
from schema.jsonb import to_jsonb
from schema.messages import JobMessage
from schema.settings import Settings

START_FAILURES = 3
"""With two, one outage that meets the same job twice would fail it."""
EXTRA_DEATHS = 2
"""A task may lose this many more workers than it has tries: another task on the worker may have used up its memory."""


@dataclass(frozen=True)
class StageStart:
    """What starting a stage led to."""

    wake_ups: Sequence[WakeUp] = ()
    """Tasks that wait for a worker: the caller may claim one of them, the messages of the others are due."""
    after_commit: AfterCommit = field(default_factory=AfterCommit)
    """A start that has to be tried again, or a job that moved on or ended without any task."""


class Starter:
    """Starts stages; messages are left to its callers."""

    def __init__(self, settings: Settings, database: Database, transitions: Transitions) -> None:
        self._settings = settings
        self._database = database
        self._transitions = transitions

    def start_stage(self, message: JobMessage) -> StageStart:
        """Start a stage if it is its job's current one; if it was started before, return its queued tasks."""
        with self._database.connection() as conn:
            job = jobs.get_job(conn, message.job_id)
            if job is None or job.status.ended or job.current_stage_n != message.stage_n:
                log.event("start_refused", job=job, message=message.encode())
                return StageStart()
            if job.stage_tasks is None:
                return self._start(conn, job)
            return StageStart(tasks.queued_tasks(conn, job.job_id, job.current_stage_n))

    def start_failed(self, conn: Connection, job: Job, error: Exception) -> AfterCommit:
        """Count a start that failed; too many of them, or one that cannot work, fail the job."""
        with conn.transaction():
            locked = jobs.lock_job(conn, job.job_id)
            failures = jobs.count_start_failure(conn, job.job_id, job.current_stage_n)
            if locked is None or failures is None:
                return AfterCommit()
            if isinstance(error, PermanentError) or failures >= START_FAILURES:
                info = controller_error(error, "create the tasks of", job)
                return AfterCommit(self._transitions.fail_job(conn, locked, info.as_json()))
        return AfterCommit(locked, delay_seconds=self._settings.backoff_seconds(failures))

    def _start(self, conn: Connection, job: Job) -> StageStart:
        try:
            specs = self._create_tasks(conn, job)
        # Whatever a controller raises must fail its job: the message would come back for ever.
        except Exception as exc:  # noqa: BLE001
            # Errors of ours are about the input; anything else is a fault of the controller, and is logged.
            if not isinstance(exc, GeostageError):
                log.event(
                    "controller_error", job=job, level=logging.ERROR, reason=log.describe(exc), where=log.where(exc)
                )
            return StageStart(after_commit=self.start_failed(conn, job, exc))
        # The tasks were decided without a lock; whoever locks first inserts them, the others find the stage started.
        with conn.transaction():
            locked = jobs.lock_job(conn, job.job_id)
            wake_ups = tasks.start_stage(
                conn,
                job,
                specs,
                queue=self._transitions.stage_of(job).queue,
                max_tries=self._settings.max_attempts,
                max_deaths=self._settings.max_attempts + EXTRA_DEATHS,
                # Longer behind a long fan-out: its last messages must not be resent before they were sent.
                resend_after=timedelta(seconds=self._settings.sweep_resend_seconds + len(specs) / 200),
            )
            if locked is None or wake_ups is None:
                return StageStart()
            started = jobs.get_job(conn, job.job_id) or locked
            moved = None if specs else self._transitions.advance(conn, started)
        log.event("start", job=started, tasks=len(specs))
        return StageStart(wake_ups, AfterCommit(moved))

    def _create_tasks(self, conn: Connection, job: Job) -> list[TaskSpec]:
        previous = tasks.stage_results(conn, job.job_id, job.current_stage_n - 1)
        stage = self._transitions.stage_of(job)
        specs = self._transitions.controller_of(job.job_type).create_tasks(stage, job, previous)
        # What jsonb cannot store is the controller's error; in the insert below it would be the database's.
        for spec in specs:
            to_jsonb(spec.parameters)
        return specs
