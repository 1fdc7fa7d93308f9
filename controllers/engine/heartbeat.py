"""The heartbeat of a process: renews the leases of all tasks that it runs."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from controllers.engine import log
from repositories.jobs import jobs, tasks
from repositories.postgres import Database
from schema.jobs import Task, job_id_of
from schema.settings import Settings


@dataclass
class _Held:
    attempt: int
    ends_at: float
    """Monotonic time of the deadline."""
    lost: threading.Event = field(default_factory=threading.Event)


class Heartbeat:
    """Keeps the leases of running tasks, in a thread that is started with the first of them."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._lease = timedelta(seconds=settings.lease_seconds)
        self._period = settings.heartbeat_seconds
        self._deadline = settings.task_deadline_seconds
        self._held: dict[str, _Held] = {}
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextmanager
    def hold(self, task: Task) -> Iterator[Callable[[], bool]]:
        """Renew a task's lease within the block; yield a function that returns whether the task was lost.

        A task is lost when it was cancelled or taken over, and at its deadline.
        """
        held = _Held(task.attempt, time.monotonic() + self._deadline)
        with self._lock:
            if task.task_id in self._held:
                # This very worker took the task over from itself: the older run is the lost one.
                self._held[task.task_id].lost.set()
            self._held[task.task_id] = held
            if self._thread is None:
                self._thread = threading.Thread(target=self._beat_for_ever, name="heartbeat", daemon=True)
                self._thread.start()
        try:
            yield lambda: held.lost.is_set() or time.monotonic() > held.ends_at
        finally:
            with self._lock:
                if self._held.get(task.task_id) is held:
                    del self._held[task.task_id]

    def beat(self) -> None:
        """Renew all leases once, and mark the tasks that are no longer this worker's."""
        with self._lock:
            held = dict(self._held)
        if not held:
            return
        # One statement for all tasks, however many: the cost of a heartbeat is that of a worker and not of its tasks.
        with self._database.connection() as conn:
            attempts = {task_id: entry.attempt for task_id, entry in held.items()}
            for task_id in tasks.renew_leases(conn, attempts, lease=self._lease):
                held[task_id].lost.set()
                job = jobs.get_job(conn, job_id_of(task_id))
                log.event("lose", job=job, task_id=task_id, attempt=held[task_id].attempt)

    def _beat_for_ever(self) -> None:
        while True:
            time.sleep(self._period)
            try:
                self.beat()
            # Three beats fit into a lease: a missed one is made up for by the next. A thread that ended would cost this
            # worker every task that it runs from then on.
            except Exception as exc:  # noqa: BLE001
                log.event("heartbeat_missed", level=logging.WARNING, reason=log.describe(exc))
