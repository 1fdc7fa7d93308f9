"""Slots: how many tasks of the heavy queues one worker process runs at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from schema.jobs import TaskQueue
from schema.settings import Settings


@dataclass(frozen=True)
class Slot:
    """Whether a slot was free in time, and whether others wait for it by now."""

    free: bool
    wanted: Callable[[], bool]


class Slots:
    """A slot is taken before a task is claimed, so that a task that waits for one stays free for other workers."""

    def __init__(self, settings: Settings) -> None:
        self._slots = threading.BoundedSemaphore(settings.task_processes)
        self._waiting = 0
        self._lock = threading.Lock()

    @contextmanager
    def take(self, queue: str, wait_seconds: float) -> Iterator[Slot]:
        """Wait for a slot, and keep it for the block; light tasks need none."""
        if queue == TaskQueue.LIGHT:
            yield Slot(free=True, wanted=lambda: False)
            return
        taken = self._acquire(wait_seconds)
        try:
            yield Slot(free=taken, wanted=lambda: self._waiting > 0)
        finally:
            if taken:
                self._slots.release()

    def _acquire(self, wait_seconds: float) -> bool:
        if self._slots.acquire(blocking=False):
            return True
        with self._lock:
            self._waiting += 1
        try:
            return self._slots.acquire(timeout=wait_seconds)
        finally:
            with self._lock:
                self._waiting -= 1
