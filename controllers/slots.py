"""Slots: how many tasks of the heavy queues one worker process runs at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from schema.jobs import TaskQueue
from schema.settings import Settings


class Slots:
    """A slot is taken before a task is claimed, so that a task that waits for one stays free for other workers."""

    def __init__(self, settings: Settings) -> None:
        self._heavy = threading.BoundedSemaphore(settings.task_processes)
        self._wait = settings.slot_wait_seconds

    @contextmanager
    def take(self, queue: str) -> Iterator[bool]:
        """Wait for a slot; gives False when none was free in time. Light tasks need none."""
        if queue == TaskQueue.LIGHT:
            yield True
            return
        taken = self._heavy.acquire(timeout=self._wait)
        try:
            yield taken
        finally:
            if taken:
                self._heavy.release()
