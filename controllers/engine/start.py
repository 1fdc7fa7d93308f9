"""Starting: the tasks of a stage are decided by the controller and written once, whoever comes first."""

from __future__ import annotations

import logging
from datetime import timedelta

from controllers.engine.log import describe, record, where
from controllers.engine.transitions import Aftermath, Transitions, controller_error
from repositories.jobs import jobs, tasks
from repositories.postgres import Connection, Database
from schema.errors import GeostageError, PermanentError
from schema.jobs import Job, TaskSpec
from schema.jsonb import to_jsonb
from schema.messages import JobMessage
from schema.settings import Settings

START_FAILURES = 3
EXTRA_DEATHS = 2
"""A task may lose this many more workers than it has tries: a neighbour may have killed them."""


class Starter:
    """Starts stages; what it leaves to be sent is for the settlement."""

    def __init__(self, settings: Settings, database: Database, transitions: Transitions) -> None:
        self._settings = settings
        self._database = database
        self._transitions = transitions

    def start_stage(self, message: JobMessage) -> Aftermath:
        """Start a stage if it is its job's current one. Started already: its queued tasks are to be woken again."""
        with self._database.connection() as conn:
            job = jobs.get_job(conn, message.job_id)
            if job is None or job.status.ended or job.current_stage_n != message.stage_n:
                record("start_refused", job=job, message=message.encode())
                return Aftermath()
            if job.stage_tasks is None:
                return self._start(conn, job)
            return Aftermath(wake_ups=tasks.queued_tasks(conn, job.job_id, job.current_stage_n))

    def start_failed(self, conn: Connection, job: Job, error: Exception) -> Aftermath:
        """Count a start that failed; too many of them, or one that cannot work, fail the job."""
        with conn.transaction():
            locked = jobs.lock_job(conn, job.job_id)
            failures = jobs.count_start_failure(conn, job.job_id, job.current_stage_n)
            if locked is None or failures is None:
                return Aftermath()
            if isinstance(error, PermanentError) or failures >= START_FAILURES:
                info = controller_error(error, "create the tasks of", job)
                return self._transitions.fail_job(conn, locked, info.as_json())
        return Aftermath(started=locked, delay_seconds=self._settings.backoff_seconds(failures))

    def _start(self, conn: Connection, job: Job) -> Aftermath:
        try:
            specs = self._create_tasks(conn, job)
        # A controller is code of a job type: its errors are the job's, not the trigger's.
        except Exception as exc:  # noqa: BLE001
            # What it says of its input is the job's error; anything else is a fault of its code.
            if not isinstance(exc, GeostageError):
                record("controller_error", job=job, level=logging.ERROR, reason=describe(exc), where=where(exc))
            return self.start_failed(conn, job, exc)
        with conn.transaction():
            locked = jobs.lock_job(conn, job.job_id)
            wake_ups = tasks.start_stage(
                conn,
                job,
                specs,
                queue=self._transitions.stage_of(job).queue,
                max_tries=self._settings.max_attempts,
                max_deaths=self._settings.max_attempts + EXTRA_DEATHS,
                resend_after=timedelta(seconds=self._settings.sweep_resend_seconds + len(specs) / 200),
            )
            if locked is None or wake_ups is None:
                return Aftermath()
            started = jobs.get_job(conn, job.job_id) or locked
            aftermath = Aftermath(wake_ups=wake_ups) if specs else self._transitions.advance(conn, started)
        record("start", job=started, tasks=len(specs))
        return aftermath

    def _create_tasks(self, conn: Connection, job: Job) -> list[TaskSpec]:
        previous = tasks.stage_results(conn, job.job_id, job.current_stage_n - 1)
        stage = self._transitions.stage_of(job)
        specs = self._transitions.controller_of(job.job_type).create_tasks(stage, job, previous)
        for spec in specs:
            to_jsonb(spec.parameters)
        return specs
