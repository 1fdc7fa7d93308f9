"""Slots: how many tasks of the heavy queues one worker process runs at once."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schema.jobs import TaskQueue, job_id_of
from schema.settings import Settings


@dataclass(frozen=True)
class Slot:
    """Whether a slot was free in time, and whether tasks of other jobs wait for it by now."""

    free: bool
    wanted: Callable[[], bool]


class Slots:
    """A slot is taken before a task is claimed, so that a task that waits for one stays free for other workers."""

    def __init__(self, settings: Settings) -> None:
        self._slots = threading.BoundedSemaphore(settings.task_processes)
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
            yield Slot(free=True, wanted=lambda: False)
            return
        job_id = job_id_of(task_id)
        taken = self._acquire(job_id, wait_seconds)
        try:
            yield Slot(free=taken, wanted=lambda: bool(self.waiting - {job_id}))
        finally:
            if taken:
                self._slots.release()

    def _acquire(self, job_id: str, wait_seconds: float) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        with self._lock:
            self._waiting[job_id] += 1
        try:
            return self._slots.acquire(timeout=wait_seconds)
        finally:
            with self._lock:
                self._waiting -= Counter([job_id])
