"""Child processes: tasks that open users' files run there, so that a crash, a hang or a leak is one failed try.

The parent keeps the lease and watches size and time; the child runs the handler and finishes the task.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from controllers.engine import log
from controllers.engine.child import CLAIM
from repositories.jobs.tasks import Claim
from schema.errors import TransientError
from schema.jobs import TaskQueue
from schema.messages import JobMessage
from schema.settings import Settings

BUILDER = "controllers.engine.build:build_engine"
LOOK_SECONDS = 0.25
"""How often the parent looks at a child's size, its deadline and whether its task was lost."""
GRACE_SECONDS = 10
"""For a child to stop by itself when its task was lost."""
START_SECONDS = 60
RECYCLE_TASKS = 1_000
"""Leaks show in the size, which is checked after each task; a new process takes a second, as long as 40 small tasks."""
_PROJECT = Path(__file__).parents[2]
HEAVY_QUEUES = (TaskQueue.VECTOR, TaskQueue.RASTER)
"""Whose tasks run in children; light ones run in the worker itself."""
MB = 1024 * 1024
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_logger = logging.getLogger("geostage")


class ChildDied(TransientError):
    """A task's process ended, or was ended, before its task did."""

    code = "process_died"
    category = "infrastructure"


class TooManyMessages(TransientError):
    """The host hands a worker more messages of a queue at once than it has processes for."""

    code = "too_many_messages"
    category = "configuration"


class Child:
    """One process, and the JSON lines to and from it; controllers/engine/child.py is its other end."""

    def __init__(self, builder: str, kind: str, settings: Settings, grace_seconds: float = GRACE_SECONDS) -> None:
        self._settings, self._grace_seconds = settings, grace_seconds
        # The child finds packages where this process does, wherever the Functions host has put them.
        start = "; ".join(
            [
                "import sys",
                f"sys.path[:] = {sys.path!r}",
                "from controllers.engine.child import main",
                f"main({builder!r}, {kind!r})",
            ]
        )
        self._process = subprocess.Popen(  # noqa: S603 - this interpreter, with arguments of our own
            [sys.executable, "-c", start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Lines are read with select, which does not see what a buffer holds.
            bufsize=0,
            cwd=_PROJECT,
            # A signal to the worker's group, such as Ctrl-C, must reach the child through its parent alone.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._rest = b""
        self.tasks = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    @property
    def fit(self) -> bool:
        """Whether it may be given another task: it runs, has not grown large and has not served very many."""
        # Half the limit: a task that starts in a large process would reach the limit through no fault of its own.
        if self.tasks >= RECYCLE_TASKS or self.resident_bytes() > self._settings.task_memory_mb * MB / 2:
            return False
        return self.alive

    def resident_bytes(self) -> int:
        """Return the resident size; 0 where /proc does not have it."""
        try:
            # The second field, resident pages: the first, virtual size, counts files that are mapped and never read.
            return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * _PAGE_BYTES
        except (OSError, IndexError):
            return 0

    def send(self, **line: Any) -> None:
        """Send one line. Raises ChildDied."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(line).encode() + b"\n")
        except OSError as exc:
            raise self.died() from exc

    def receive(self, seconds: float) -> Iterator[dict[str, Any]]:
        """Yield the lines that are there within a time, waiting for the first at most. Raises ChildDied."""
        if not self._selector.select(seconds):
            return
        data = os.read(self._out, 1 << 16)
        if not data:
            raise self.died()
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield json.loads(line)

    def wait_until_ready(self) -> None:
        """Wait until the process has imported what its tasks need. Raises ChildDied."""
        until = time.monotonic() + START_SECONDS
        while not any("ready" in line for line in self.receive(LOOK_SECONDS)):
            if time.monotonic() > until:
                raise ChildDied(f"The process for the task was not ready within {START_SECONDS} s.")

    def died(self) -> ChildDied:
        """Return the error that says how the process ended."""
        # subprocess gives the number of a signal as a negative code.
        code = self._process.wait(self._grace_seconds)
        how = f"was ended by signal {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return ChildDied(
            f"The process of the task {how}.",
            remediation="It is retried in a new process. If it dies each time, the file crashes a library: check it "
            "with ogrinfo or gdalinfo.",
        )

    def run(self, claim: Claim, lost: Callable[[], bool]) -> JobMessage | None:
        """Run a claimed task to its end; return the stage that its job has moved on to, if it has.

        Raises
        ------
        ChildDied
            The child crashed, hung past the deadline or grew past its limit before the task had ended; it is gone.
        """
        self.tasks += 1
        finished = False
        next_stage: JobMessage | None = None
        try:
            self.send(claim=CLAIM.dump_python(claim, mode="json"))
            for line in self._lines_until_done(lost):
                if "log" in line:
                    _logger.log(line["log"][0], "%s", line["log"][1])
                elif "finished" in line:
                    finished = True
                    next_stage = JobMessage(**line["finished"]) if line["finished"] else None
        except ChildDied as exc:
            self.kill()
            # After `finished` the transaction is over: the task has ended, whatever its process does.
            if not finished:
                raise
            log.event("tidy_failed", task=claim.task, level=logging.WARNING, reason=log.describe(exc))
        except BaseException:
            # A child in the middle of a task must not be given another.
            self.kill()
            raise
        return next_stage

    def _lines_until_done(self, lost: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Yield the lines of a task, with an eye on its size, its deadline and its lease. Raises ChildDied."""
        deadline = time.monotonic() + self._settings.task_deadline_seconds
        stop_by = float("inf")
        while True:
            for line in self.receive(LOOK_SECONDS):
                if "done" in line:
                    return
                yield line
            size = self.resident_bytes()
            if size > self._settings.task_memory_mb * MB:
                raise ChildDied(
                    f"The process of the task grew to {size / 1e6:.0f} MB; its limit is "
                    f"{self._settings.task_memory_mb} MB.",
                    remediation="Raise GEOSTAGE_TASK_MEMORY_MB, or split the file.",
                    code="out_of_memory",
                )
            if stop_by == float("inf") and lost():
                self.send(lost=True)
                stop_by = time.monotonic() + self._grace_seconds
            # A handler stops at its next look at the lease; one that is inside of GDAL or GEOS does not look.
            if time.monotonic() > min(stop_by, deadline + self._grace_seconds):
                raise ChildDied(
                    f"The task ran past its deadline of {self._settings.task_deadline_seconds:g} s and did not stop.",
                    remediation="Raise GEOSTAGE_TASK_DEADLINE_SECONDS (below functionTimeout), or split the file.",
                    code="task_deadline",
                )

    def kill(self) -> None:
        """End the process and release what it held."""
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()


class Children:
    """The children of this process: made when first needed, kept warm, replaced when they grew or served enough."""

    def __init__(self, settings: Settings, *, builder: str = BUILDER, grace_seconds: float = GRACE_SECONDS) -> None:
        self._settings, self._grace_seconds = settings, grace_seconds
        self._builder = builder
        self._idle: list[Child] = []
        self._places: dict[str, threading.BoundedSemaphore] = {
            queue: threading.BoundedSemaphore(settings.task_processes) for queue in HEAVY_QUEUES
        }
        self._lock = threading.Lock()

    @contextmanager
    def take(self, queue: str) -> Iterator[Child]:
        """Yield a child that is ready for tasks of a queue. Afterwards it is kept, or ended if it is no longer fit.

        Raises
        ------
        ChildDied
            No child could be started.
        TooManyMessages
            As many children as a queue may have serve this one already.
        """
        # Never waits: a message that waits inside a function is hidden from other workers and from the platform's
        # scaler. host.json keeps such messages away; this refuses what it let through.
        place = self._places[queue]
        if not place.acquire(blocking=False):
            raise TooManyMessages(
                f"The worker received a message of the {queue} queue while it ran {self._settings.task_processes} "
                "task(s) of it, as many as GEOSTAGE_TASK_PROCESSES allows.",
                remediation="Set batchSize in host.json to the value of GEOSTAGE_TASK_PROCESSES, and "
                "newBatchThreshold to 0.",
            )
        try:
            child = self._idle_or_new(queue)
            try:
                yield child
            finally:
                if child.fit:
                    with self._lock:
                        self._idle.append(child)
                else:
                    log.event("recycle", pid=child.pid, tasks=child.tasks)
                    child.kill()
        finally:
            place.release()

    def close(self) -> None:
        """End the idle children."""
        with self._lock:
            idle, self._idle = self._idle, []
        for child in idle:
            child.kill()

    def _idle_or_new(self, queue: str) -> Child:
        """Return an idle child, or start one and wait until it is ready. Raises ChildDied."""
        while True:
            with self._lock:
                # Of any queue: a child that is warm for one runs tasks of the other as well.
                child = self._idle.pop() if self._idle else None
            if child is None:
                break
            if child.alive:
                return child
            child.kill()
        child = Child(self._builder, queue, self._settings, self._grace_seconds)
        try:
            child.wait_until_ready()
        except ChildDied as exc:
            child.kill()
            log.event("spawn_failed", level=logging.ERROR, reason=log.describe(exc))
            raise
        log.event("spawn", pid=child.pid, kind=queue)
        return child
