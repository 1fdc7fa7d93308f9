"""The sweep: resends lost messages, takes back tasks of dead workers, clears ended jobs; safe on every instance."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

from controllers.engine import log
from controllers.engine.dispatch import Dispatcher
from controllers.engine.transitions import AfterCommit, FenceBroken, Transitions
from repositories.jobs import jobs, sweep, tasks, work_area
from repositories.jobs.tasks import WakeUp
from repositories.postgres import Connection, Database
from repositories.storage.queues import Queues
from schema.errors import ErrorInfo, Unavailable
from schema.jobs import Job, JobStatus, Task
from schema.messages import TASK_QUEUES, JobMessage
from schema.settings import Settings

PERIOD_SECONDS = 30
SCHEDULE = f"*/{PERIOD_SECONDS} * * * * *"
"""NCRONTAB of the timer, seconds first."""
CARRY_AFTER_SECONDS = 45
"""Any worker carries the sweep when the timer has been silent for so long."""
OUTAGE_SECONDS = 75
"""After a longer silence leases have run out of workers that live: they get one period to renew them."""
ROWS = 200
"""Of one kind in one pass, so that a pass stays shorter than the period."""
LATE_ROWS = 20
"""Messages that a pass resends to a queue that is merely long: those that waited for 15 minutes, and a few of them."""
Row = TypeVar("Row")


@dataclass(frozen=True)
class Sweep:
    """One pass looks at every kind of row that may be waiting for something that never comes."""

    settings: Settings
    database: Database
    queues: Queues
    transitions: Transitions
    dispatcher: Dispatcher
    _looked: list[float] = field(default_factory=lambda: [0.0])
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sweep(self, *, period_seconds: float = PERIOD_SECONDS / 2) -> bool:
        """Run one pass, unless another process ran one within the period; return whether it ran."""
        with self.database.connection() as conn:
            idle = sweep.begin_sweep(conn, period=timedelta(seconds=period_seconds))
        if idle is None:
            return False
        if idle < OUTAGE_SECONDS:
            self._repair("take_back", sweep.expired_tasks, self.take_back)
        self._repair("end_overdue", sweep.overdue_jobs, self._end_overdue)
        self._repair("heal", sweep.stalled_jobs, self._heal)
        self._guard("resend_jobs", self._resend_jobs)
        self._guard("resend_tasks", self._resend_tasks)
        self._guard("clear", self._clear_ended)
        return True

    def sweep_when_due(self) -> None:
        """Run a pass if none has run for 45 s; asks the database at most that often."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked[0] < CARRY_AFTER_SECONDS:
                return
            self._looked[0] = now
        self._guard("carry", partial(self.sweep, period_seconds=CARRY_AFTER_SECONDS))

    def take_back(self, conn: Connection, task: Task) -> AfterCommit:
        """Requeue a task whose lease ran out, or fail it when it has lost too many workers; otherwise do nothing."""
        resend_after = timedelta(seconds=self.settings.sweep_resend_seconds)
        error = self._died(task).as_json()
        job = jobs.get_job(conn, task.job_id)
        if sweep.take_back_task(conn, task, error, resend_after=resend_after):
            log.event("take_back", job=job, task=task, level=logging.WARNING)
            return AfterCommit(wake_ups=[WakeUp(task.task_id, task.queue)])
        try:
            with conn.transaction():
                moved = self.transitions.fail(conn, task, error, expired=True)
        except FenceBroken:
            return AfterCommit()
        log.event("fail", job=job, task=task, level=logging.WARNING, code=error["code"])
        return AfterCommit(moved)

    def _resend_jobs(self) -> None:
        base = timedelta(seconds=self.settings.sweep_resend_seconds / 2)
        with self.database.connection() as conn:
            due = sweep.due_jobs(conn, resend_after=base, limit=ROWS)
            found = [job for job in (jobs.get_job(conn, job_id) for job_id, _ in due) if job]
        for number, job in enumerate(found, start=1):
            log.event("resend", job=job)
            if not self.dispatcher.send_start(JobMessage.of(job)):
                # A queue that is down takes seconds to say so: the others need not ask it too.
                with self.database.connection() as conn:
                    for other in found[number:]:
                        jobs.resend_job_now(conn, other.job_id)
                break

    def _resend_tasks(self) -> None:
        base = timedelta(seconds=self.settings.sweep_resend_seconds)
        with self.database.connection() as conn:
            due = sweep.due_tasks(conn, resend_after=base, limit=ROWS)
            open_tasks = sweep.open_tasks_by_queue(conn) if due else {}
        for queue in sorted({wake_up.queue for wake_up in due}):
            waiting = [wake_up for wake_up in due if wake_up.queue == queue]
            name = TASK_QUEUES[queue]
            try:
                # Whether its tasks wait only because it has more work than workers, with no message lost. The count
                # alone does not show it: it includes messages that a dead worker received, which stay hidden for ten
                # minutes. If no message can be received now, no message of a waiting task will come.
                is_long = self.queues.count(name) >= open_tasks.get(queue, 0) and self.queues.has_waiting(name)
            except Unavailable as exc:
                reason = log.describe(exc)
                log.event("send_failed", queue=queue, tasks=len(waiting), level=logging.WARNING, reason=reason)
                with self.database.connection() as conn:
                    tasks.resend_tasks_now(conn, [wake_up.task_id for wake_up in waiting])
                continue
            chosen = [wake_up for wake_up in waiting if wake_up.late][:LATE_ROWS] if is_long else waiting
            if chosen:
                log.event("resend", queue=queue, tasks=len(chosen), task_id=chosen[0].task_id)
                self.dispatcher.send_tasks(chosen)

    def _end_overdue(self, conn: Connection, seen: Job) -> AfterCommit:
        with conn.transaction():
            job = jobs.lock_job(conn, seen.job_id)
            # A retry by the user, after another sweep ended the job, has set a new deadline.
            if job is None or job.deadline_at != seen.deadline_at:
                return AfterCommit()
            overdue = ErrorInfo(
                code="job_overdue",
                category="infrastructure",
                message=f"The job was still open after {self.settings.job_deadline_hours:g} hours.",
                remediation=f"POST /api/jobs/{job.job_id}/retry goes on where it stopped.",
                retryable=True,
                user_fixable=False,
                stage_n=job.current_stage_n,
            )
            return AfterCommit(self.transitions.fail_job(conn, job, overdue.as_json()))

    def _heal(self, conn: Connection, job_id: str) -> AfterCommit:
        with conn.transaction():
            job = jobs.lock_job(conn, job_id)
            if job is None or job.status is not JobStatus.PROCESSING or job.stage_tasks is None:
                return AfterCommit()
            if not tasks.stage_has_ended(conn, job_id, job.current_stage_n):
                return AfterCommit()
            # Logged as an error, since the last finisher of the stage should have moved the job on.
            log.event("heal", job=job, level=logging.ERROR)
            return AfterCommit(self.transitions.advance(conn, job))

    def _clear_ended(self) -> None:
        with self.database.connection() as conn:
            clearable = work_area.clearable_jobs(conn, limit=ROWS)
        for job_id in clearable:
            self._guard("clear", partial(self.dispatcher.clear, job_id), job_id)

    def _repair(
        self, step: str, find: Callable[..., Iterable[Row]], act: Callable[[Connection, Row], AfterCommit]
    ) -> None:
        """Find the rows that a step repairs and repair each; the error of one does not stop the others."""

        def repair(row: Row) -> None:
            with self.database.connection() as conn:
                left = act(conn, row)
            self.dispatcher.dispatch(left)

        def repair_all() -> None:
            with self.database.connection() as conn:
                rows = find(conn, limit=ROWS)
            for row in rows:
                subject = row.task_id if isinstance(row, Task) else row.job_id if isinstance(row, Job) else row
                self._guard(step, partial(repair, row), subject)

        self._guard(step, repair_all)

    def _guard(self, step: str, act: Callable[[], object], subject: object = None) -> None:
        """Do a part of the sweep, and log its error."""
        try:
            act()
        # One row or step that cannot be repaired must not stop the sweep of the others.
        except Exception as exc:  # noqa: BLE001
            reason = log.describe(exc)
            log.event("sweep_error", level=logging.ERROR, step=step, row=subject, reason=reason, where=log.where(exc))

    def _died(self, task: Task) -> ErrorInfo:
        lost = task.deaths + 1
        return ErrorInfo(
            code="worker_died",
            category="infrastructure",
            message=f"The task {task.task_type} lost its worker {lost} time(s): the process died, stopped answering, "
            f"or ran past the deadline of {self.settings.task_deadline_seconds:g} s.",
            remediation=f"POST /api/jobs/{task.job_id}/retry runs it again; if it dies each time, its input may need "
            "more memory or time than a worker has.",
            retryable=True,
            user_fixable=False,
            task_id=task.task_id,
            stage_n=task.stage_n,
            attempt=task.attempt,
        )
