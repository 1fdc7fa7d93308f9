"""Dispatch: what follows a commit. Messages are sent; jobs that have ended are cleaned up.

No job depends on it to end: the sweep repeats what fails here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict

from controllers.engine import log
from controllers.engine.result_summary import summary_of
from controllers.engine.transitions import AfterCommit
from repositories.jobs import jobs, tasks, work_area
from repositories.jobs.tasks import WakeUp
from repositories.postgres import Database
from repositories.storage.blobs import Blobs
from repositories.storage.queues import Queues
from schema.errors import GeostageError, Unavailable
from schema.jobs import JobStatus, Json
from schema.jsonb import to_jsonb
from schema.messages import JOB_QUEUE, TASK_QUEUES, JobMessage, TaskMessage, content_of
from schema.settings import RESULTS, Settings

MAX_RESULT_BYTES = 256 * 1024
"""A larger result goes to a blob, and the row holds a summary with its path."""

SEND_BACK_SECONDS = 60
WAVE = 64
"""Messages that are sent before the tasks of the others are looked at again: some may have been claimed by then."""
SENDERS = len(TASK_QUEUES)
"""Threads that send in the background: a worker runs one task of each queue at a time, and each may start a stage."""


class Dispatcher:
    """Sends messages and clears up, for one process."""

    def __init__(self, settings: Settings, database: Database, queues: Queues, blobs: Blobs) -> None:
        self._settings = settings
        self._database = database
        self._queues = queues
        self._blobs = blobs
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="dispatch")

    def dispatch(self, left: AfterCommit) -> None:
        """Send the messages that a committed transaction left, and clear up after a job that it ended."""
        job = left.moved
        if job and not job.status.ended:
            log.event("advance", job=job)
            self.send_start(JobMessage.of(job), delay_seconds=left.delay_seconds)
        self.send_tasks(left.wake_ups, delay_seconds=left.delay_seconds)
        if job and job.status.ended:
            level = logging.WARNING if job.status is JobStatus.FAILED else logging.INFO
            log.event("end", job=job, status=job.status, code=(job.error or {}).get("code"), level=level)
            self.clear(job.job_id)

    def send_start(self, message: JobMessage, *, delay_seconds: float = 0) -> bool:
        """Send the message that starts a stage; return False when it is left to the sweep."""
        try:
            self._queues.send(JOB_QUEUE, [message.encode()], delay_seconds=delay_seconds)
        except Unavailable as exc:
            log.event("send_failed", level=logging.WARNING, reason=log.describe(exc), **asdict(message))
            with self._database.connection() as conn:
                jobs.resend_job_now(conn, message.job_id)
            return False
        return True

    @contextmanager
    def sending(self) -> Iterator[Callable[[Sequence[WakeUp]], None]]:
        """Yield a function that sends the messages of tasks in the background; at the end of the block all are sent."""
        sent: list[Future[None]] = []

        def send(wake_ups: Sequence[WakeUp]) -> None:
            if wake_ups:
                sent.append(self._senders.submit(self.send_tasks, wake_ups))

        try:
            yield send
        finally:
            # A function that has returned may be stopped with its instance at any time.
            for one in sent:
                one.result()

    def send_tasks(self, wake_ups: Sequence[WakeUp], *, delay_seconds: float = 0) -> None:
        """Send the messages of tasks, a wave at a time; those that fail are left to the sweep."""
        for first in range(0, len(wake_ups), WAVE):
            wave = list(wake_ups[first : first + WAVE])
            # Workers go on from task to task without messages, so those of a later wave may have been claimed by now.
            if first:
                with self._database.connection() as conn:
                    wave = tasks.still_queued(conn, [wake_up.task_id for wake_up in wave])
            try:
                for queue in sorted({wake_up.queue for wake_up in wave}):
                    messages = [TaskMessage(wake_up.task_id).encode() for wake_up in wave if wake_up.queue == queue]
                    self._queues.send(TASK_QUEUES[queue], messages, delay_seconds=delay_seconds)
            except Unavailable as exc:
                # One failure stands for all: a queue that is down takes seconds to say so.
                left = [wake_up.task_id for wake_up in wake_ups[first:]]
                log.event(
                    "send_failed", task_id=left[0], tasks=len(left), level=logging.WARNING, reason=log.describe(exc)
                )
                with self._database.connection() as conn:
                    tasks.resend_tasks_now(conn, left)
                return

    def send_back(self, queue: str, body: bytes) -> None:
        """Send a message to a queue again, after a minute, because it could not be handled now."""
        try:
            self._queues.send(queue, [content_of(body).decode(errors="replace")], delay_seconds=SEND_BACK_SECONDS)
        except Unavailable as exc:
            log.event("send_failed", queue=queue, level=logging.ERROR, reason=log.describe(exc), **log.trace_of(body))

    def clear(self, job_id: str) -> None:
        """Move a large result of an ended job to a blob, and delete its work area if that is due.

        The sweep repeats what fails.
        """
        try:
            # Not in the transaction that ended the job: nothing slow may happen under its lock.
            with self._database.connection() as conn:
                job = jobs.get_job(conn, job_id)
            if job and job.result_data is not None and job.work_area != "gone":
                fitted = self.fit_result(job_id, job.result_data)
                if fitted is not job.result_data:
                    with self._database.connection() as conn:
                        jobs.offload_result(conn, job_id, fitted)
            # Committed before anything is deleted, so that no retry finds half of it.
            with self._database.transaction() as conn:
                due = work_area.begin_clearing(conn, job_id)
            # Tables and blobs of a retryable failure are kept for a day: a retry needs the input of its tasks.
            if due:
                with self._database.transaction() as conn:
                    tables = work_area.drop_work_tables(conn, job_id)
                blobs = self._blobs.delete_prefix(self._settings.work_container, f"{job_id}/")
                log.event("clear", job=job, tables=tables, blobs=blobs)
            if due == "last":
                with self._database.connection() as conn:
                    work_area.end_clearing(conn, job_id)
        except GeostageError as exc:
            log.event("clear_failed", job_id=job_id, level=logging.WARNING, reason=log.describe(exc))

    def fit_result(self, name: str, result: object) -> Json:
        """Return a result as it fits into a row: itself, or a summary with the path of the blob that holds it.

        Raises
        ------
        TypeError, ValueError
            It is not a dict, or holds what jsonb cannot store, such as NaN.
        """
        if not isinstance(result, dict):
            raise TypeError(f"a result must be a dict, not {type(result).__name__}")
        # Written as it will be stored: NaN in a result must be the handler's error here, and not the database's later.
        data = to_jsonb(result).encode()
        if len(data) <= MAX_RESULT_BYTES:
            return result
        container, blob = self._settings.output_container, f"{RESULTS}{name}.json"
        self._blobs.write(container, blob, data, content_type="application/json")
        return summary_of(result, f"{container}/{blob}", len(data))
