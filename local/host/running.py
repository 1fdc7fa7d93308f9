"""The invocations that run now in this worker: for functionTimeout, and for a graceful end."""

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator


class Running:
    """A register of running invocations; safe for threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._started: dict[int, tuple[float, str]] = {}
        self._numbers = itertools.count()

    @contextlib.contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Count an invocation of a function while the block runs."""
        number = next(self._numbers)
        with self._changed:
            self._started[number] = (time.monotonic(), name)
        try:
            yield
        finally:
            with self._changed:
                del self._started[number]
                self._changed.notify_all()

    def oldest(self) -> tuple[float, str] | None:
        """Return the start (monotonic clock, the same in all processes) and name of the longest-running invocation."""
        with self._changed:
            return min(self._started.values(), default=None)

    def wait_until_idle(self, seconds: float) -> bool:
        """Whether all invocations ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._started, seconds)
