"""Slots: how many tasks of the heavy queues one worker process runs at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schema.jobs import TaskQueue, job_id_of
from schema.settings import Settings

SAME_JOB_SECONDS = 1.0
"""A task whose job is at work here waits no longer for a slot: this worker comes to it by itself, another sooner."""


@dataclass(frozen=True)
class Slot:
    """What came of the wait for a slot."""

    free: bool
    """It is taken."""
    same_job: bool
    """It was not free in time, and a task of the same job has one."""
    wanted: Callable[[], bool]
    """Tells whether tasks of other jobs wait for it by now."""


class Slots:
    """A slot is taken before a task is claimed, so that a task that waits for one stays free for other workers."""

    def __init__(self, settings: Settings) -> None:
        self._slots = threading.BoundedSemaphore(settings.task_processes)
        self._working: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._lock = threading.Lock()

    @property
    def waiting(self) -> set[str]:
        """The jobs whose tasks wait for a slot."""
        with self._lock:
            return set(self._waiting)

    @contextmanager
    def take(self, task_id: str, queue: str, wait_seconds: float) -> Iterator[Slot]:
        """Wait for a slot, and keep it for the block; light tasks need none."""
        if queue == TaskQueue.LIGHT:
            yield Slot(free=True, same_job=False, wanted=lambda: False)
            return
        job_id = job_id_of(task_id)
        if not self._acquire(job_id, wait_seconds):
            yield Slot(free=False, same_job=job_id in self._working, wanted=lambda: False)
            return
        try:
            with self._counted(self._working, job_id):
                yield Slot(free=True, same_job=False, wanted=lambda: bool(self.waiting - {job_id}))
        finally:
            self._slots.release()

    def _acquire(self, job_id: str, wait_seconds: float) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        until = time.monotonic() + wait_seconds
        with self._counted(self._waiting, job_id):
            while (left := until - time.monotonic()) > 0:
                if self._slots.acquire(timeout=min(left, SAME_JOB_SECONDS)):
                    return True
                if job_id in self._working:
                    return False
        return False

    @contextmanager
    def _counted(self, counter: Counter[str], job_id: str) -> Iterator[None]:
        with self._lock:
            counter[job_id] += 1
        try:
            yield
        finally:
            with self._lock:
                counter -= Counter([job_id])
