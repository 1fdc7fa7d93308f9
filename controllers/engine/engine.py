"""The engine: the state machine of jobs and tasks. The row is written first, the message is sent second.

It knows no job type, no SQL, no Azure type and no GDAL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from controllers.base import Controller
from controllers.engine import log, validation
from controllers.engine.child_pool import Children
from controllers.engine.dispatch import Dispatcher
from controllers.engine.progress import progress_of
from controllers.engine.runner import Runner
from controllers.engine.start import Starter
from controllers.engine.sweep import Sweep
from controllers.engine.transitions import AfterCommit, Transitions
from repositories.jobs import jobs, poison, tasks
from repositories.jobs.jobs import NewJob
from repositories.postgres import Connection, Database
from repositories.storage.blobs import Blobs
from repositories.storage.queues import Queues
from schema.clipping import clip, did_you_mean
from schema.errors import Conflict, GeostageError, NotFound, Unavailable
from schema.jobs import Job, JobStatus, Json, new_job_id, stage_sequence_of
from schema.messages import POISON_SUFFIX, JobMessage, TaskMessage, decode
from schema.settings import Settings
from services import Handler

DEDUP_ROUNDS = 5
"""Times that a submission is repeated when the job that was in its way ends meanwhile."""


@dataclass(frozen=True)
class Submission:
    """An accepted job, or the live one that does the same work."""

    job: Job
    existing: bool


class Engine:
    """Submit, start, claim, finish, fail, retry, cancel, sweep. One per process, safe to share between threads."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        queues: Queues,
        blobs: Blobs,
        controllers: Mapping[str, Controller],
        resolve_handler: Callable[[str], Handler],
        children: Children | None = None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.queues = queues
        self.blobs = blobs
        self.controllers = controllers
        self.transitions = Transitions(self.controller_of, settings)
        self.dispatcher = Dispatcher(settings, database, queues, blobs)
        self.sweeper = Sweep(settings, database, queues, self.transitions, self.dispatcher)
        self.starter = Starter(settings, database, self.transitions)
        self.runner = Runner(
            settings, database, blobs, self.transitions, self.starter, self.dispatcher, resolve_handler, children
        )

    def submit(
        self, job_type: str, body: bytes, *, idempotency_key: str | None = None, traceparent: str | None = None
    ) -> Submission:
        """Accept a job: row first, message second.

        Raises
        ------
        NotFound
            No such job type, container or blob.
        InvalidRequest, TooLarge
            The body or the parameters are not valid.
        Conflict
            The idempotency key was used with other parameters.
        Unavailable
            Database or storage cannot be reached. If the row was written, the sweep starts the job, and the same
            POST finds it.
        """
        job = self._new_job(job_type, body, idempotency_key, traceparent)
        # The row first: a message without a row does nothing, while a row without a message is found by the sweep.
        with self.database.connection() as conn:
            submission = self._insert_or_find(conn, job)
        if not submission.existing:
            log.event("submit", job=submission.job)
        # Also for a job that was there before and still waits: its message may be what was lost.
        if submission.job.status is JobStatus.QUEUED and not self.dispatcher.send_start(JobMessage.of(submission.job)):
            raise Unavailable(
                f"Job {submission.job.job_id} was accepted, but the queue cannot be reached to start it.",
                remediation="Nothing is needed: the job starts when the queue is back. The same POST finds it.",
                code="queue_unavailable",
            )
        return submission

    def start_stage(self, message: JobMessage) -> None:
        """Start a stage of a job: its tasks are inserted once, however often the message comes."""
        # None of its tasks runs here: that would hold the queue of starts for as long as the task runs, and use a child
        # beside those of the queue's own function. It costs a poll before the first task, 0.1 s on average.
        start = self.starter.start_stage(message)
        self.dispatcher.dispatch(start.after_commit)
        self.dispatcher.send_tasks(start.wake_ups)

    def run_task(self, message: TaskMessage, queue: str) -> None:
        """Run a task, then others of its queue for a while; returns normally if the task cannot be claimed."""
        self.runner.process_task(message.task_id, queue)
        # The timer fires on one instance, and may be disabled: then the workers carry the sweep.
        self.sweeper.sweep_when_due()

    def cancel(self, job_id: str) -> Job:
        """End a job and its open tasks; nothing of it commits afterwards. Raises NotFound, Conflict."""
        with self.database.transaction() as conn:
            job = _known(jobs.lock_job(conn, job_id), job_id)
            ended = self.transitions.end(conn, job, JobStatus.CANCELLED)
        # Not an error for a job that was cancelled before: whoever lost the answer asks again.
        if ended is None and job.status is not JobStatus.CANCELLED:
            raise Conflict(
                f"Job {job_id} has already ended: it is {job.status}.",
                remediation="Only a queued or processing job can be cancelled.",
                code="job_has_ended",
            )
        self.dispatcher.dispatch(AfterCommit(ended))
        return ended or job

    def retry(self, job_id: str) -> Job:
        """Open a failed job again: what is not completed of its current stage runs again. Raises NotFound, Conflict."""
        resend_after = timedelta(seconds=self.settings.sweep_resend_seconds)
        with self.database.transaction() as conn:
            job = _known(jobs.lock_job(conn, job_id), job_id)
            reopened = self._reopen(conn, job, resend_after)
            wake_ups = tasks.retry_tasks(conn, reopened, resend_after=resend_after)
            if reopened.stage_tasks is None:
                moved: Job | None = reopened
            else:
                # With every task completed it was the controller that failed, and no finish of a task would move the
                # job on.
                moved = None if wake_ups else self.transitions.advance(conn, reopened)
        log.event("retry", job=reopened, tasks=len(wake_ups))
        self.dispatcher.dispatch(AfterCommit(moved, wake_ups))
        return moved or reopened

    def poisoned(self, queue: str, body: bytes) -> None:
        """Keep a poison message for the operator, and look after its row. Never raises: its queue has no other reader.

        A task is taken back if its lease has run out; a stage that is current and not started counts a failure, and
        too many of them fail the job. Every other case is the sweep's.
        """
        try:
            with self.database.connection() as conn:
                kept = {"queue": queue, "poison_id": poison.insert(conn, queue, body)}
                left = self._look_after(conn, body, kept)
            self.dispatcher.dispatch(left)
        except GeostageError as exc:
            log.event("poison_error", queue=queue, level=logging.ERROR, reason=log.describe(exc))
            self.dispatcher.send_back(queue + POISON_SUFFIX, body)
        # With a bug the message would come back for ever; the sweep looks after its row.
        except Exception as exc:  # noqa: BLE001
            log.event("poison_error", queue=queue, level=logging.ERROR, reason=log.describe(exc), where=log.where(exc))

    def _look_after(self, conn: Connection, body: bytes, kept: Json) -> AfterCommit:
        message = decode(body)
        if isinstance(message, TaskMessage):
            task = tasks.get_task(conn, message.task_id)
            job = jobs.get_job(conn, task.job_id) if task else None
            log.event("poison", job=job, task=task, task_id=message.task_id, level=logging.WARNING, **kept)
            return self.sweeper.take_back(conn, task) if task else AfterCommit()
        job = jobs.get_job(conn, message.job_id) if message else None
        said = {"job_id": message.job_id} if message else log.trace_of(body)
        log.event("poison", job=job, level=logging.WARNING, **said, **kept)
        if job is None or message is None or job.current_stage_n != message.stage_n:
            return AfterCommit()
        return self.starter.start_failed(conn, job, RuntimeError("its start message failed again and again"))

    def sweep(self) -> None:
        """Run one pass of the sweep, if it is due."""
        self.sweeper.sweep()

    def controller_of(self, job_type: str) -> Controller:
        """Return the controller of a job type. Raises NotFound."""
        return find_controller(self.controllers, job_type)

    def _new_job(self, job_type: str, body: bytes, idempotency_key: str | None, traceparent: str | None) -> NewJob:
        controller = self.controller_of(job_type)
        parameters = validation.validate(controller, validation.parse_body(body), self.settings)
        named = controller.source(parameters)
        # Looked at now: its ETag decides what is the same work, and a blob that is missing is a 404 of the caller
        # instead of a failed job.
        source = self.blobs.head(*named) if named else None
        if source:
            validation.check_source(controller, source)
        container = controller.container(parameters)
        if container:
            self.blobs.check_container(container)
        stored = parameters.model_dump(mode="json")
        return NewJob(
            job_id=new_job_id(),
            job_type=job_type,
            parameters=stored,
            source=source,
            stage_sequence=stage_sequence_of(controller.stages),
            dedup_key=validation.dedup_key(job_type, stored, source),
            idempotency_key=validation.valid_idempotency_key(idempotency_key),
            traceparent=validation.valid_traceparent(traceparent),
        )

    def _insert_or_find(self, conn: Connection, job: NewJob) -> Submission:
        resend_after = timedelta(seconds=self.settings.sweep_resend_seconds / 2)
        deadline_after = timedelta(hours=self.settings.job_deadline_hours)
        key = job.idempotency_key
        # A job may end between the insert that it prevents and the search for it, so both are repeated.
        for _ in range(DEDUP_ROUNDS):
            found = jobs.find_job_by_key(conn, key) if key else None
            if found and (found.job_type, found.parameters) != (job.job_type, job.parameters):
                raise Conflict(
                    f"The Idempotency-Key was used with other parameters by job {found.job_id}.",
                    remediation="Use a new key for a new request.",
                    code="idempotency_key_reused",
                )
            if found is None:
                found = jobs.find_live_job(conn, job.dedup_key)
                if found and key:
                    jobs.adopt_idempotency_key(conn, found.job_id, key)
            if found:
                return Submission(found, existing=True)
            inserted = jobs.insert_job(conn, job, resend_after=resend_after, deadline_after=deadline_after)
            if inserted:
                return Submission(inserted, existing=False)
        raise Unavailable(
            "The same job was submitted and ended several times during this request.", remediation="Try again."
        )

    def _reopen(self, conn: Connection, job: Job, resend_after: timedelta) -> Job:
        if job.status is not JobStatus.FAILED:
            raise Conflict(
                f"Job {job.job_id} is {job.status}; only a failed job can be retried.",
                remediation="Submit the job again, or wait until it has ended.",
                code="not_failed",
            )
        reopened = jobs.reopen_job(
            conn,
            job,
            progress_floor=progress_of(job, tasks.count_tasks(conn, [job.job_id])[job.job_id]),
            resend_after=resend_after / 2,
            deadline_after=timedelta(hours=self.settings.job_deadline_hours),
        )
        if reopened is None:
            raise Conflict(
                f"The temporary data of job {job.job_id} were deleted, so it cannot go on where it stopped.",
                remediation="Correct what its error names, and submit the job again.",
                code="work_area_gone",
            )
        return reopened


def _known(job: Job | None, job_id: str) -> Job:
    if job is None:
        raise job_not_found(job_id)
    return job


def find_controller(controllers: Mapping[str, Controller], job_type: str) -> Controller:
    """Return the controller of a job type. Raises NotFound."""
    if job_type not in controllers:
        raise NotFound(
            f"There is no job type {clip(job_type)!r}.{did_you_mean(job_type, controllers)}",
            remediation=f"Use one of: {', '.join(sorted(controllers))}.",
            code="unknown_job_type",
        )
    return controllers[job_type]


def job_not_found(job_id: str) -> NotFound:
    return NotFound(
        f"There is no job {clip(job_id)!r}.",
        remediation="Check the id; GET /api/jobs lists the jobs.",
        code="job_not_found",
    )
