"""The supervisor: keeps N worker processes on one listening socket, and kills one that exceeds functionTimeout."""

import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from local.host.worker import GRACE_SECONDS, REFUSED

logger = logging.getLogger("local.host.supervisor")

SHORTEST_PAUSE = 0.2  # before a dead worker is replaced; doubled while it keeps dying young
LONGEST_PAUSE = 5.0
YOUNG_SECONDS = 10.0


@dataclass
class Slot:
    """One place for a worker process."""

    number: int
    process: subprocess.Popen[bytes] | None = None
    report: int = -1  # the reading end of the worker's pipe
    unread: bytes = b""
    ready: bool = False
    started: float = 0.0
    heard: float = 0.0
    oldest: float | None = None  # start of its longest-running invocation
    oldest_name: str = ""
    pause: float = SHORTEST_PAUSE
    start_at: float = 0.0


@dataclass
class Supervisor:
    """Runs until SIGTERM or until a worker says that the app must not run."""

    project: Path
    workers: int
    socket_fd: int
    url: str
    status_file: Path
    function_timeout: float | None  # seconds
    _slots: list[Slot] = field(default_factory=list)
    _selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    _ended: bool = False
    _was_ready: bool = False
    _written: str = ""

    def run(self) -> int:
        """Return the exit code."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGINT, self._end)
        self._slots = [Slot(number) for number in range(self.workers)]
        code = 0
        while not self._ended and not code:
            for slot in self._slots:
                code = code or self._look_after(slot)
            self._write_status()
            for key, _ in self._selector.select(timeout=0.25):
                self._read(key.data)
        running = [slot.process for slot in self._slots if slot.process]
        for process in running:
            process.terminate()
        deadline = time.monotonic() + GRACE_SECONDS + 5
        for process in running:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._kill(process)
                process.wait()
        return code

    def _look_after(self, slot: Slot) -> int:
        """Start, replace or kill the worker of a slot; return an exit code, not 0 when the app cannot run at all."""
        now = time.monotonic()
        if slot.process is None:
            if now >= slot.start_at:
                self._start(slot)
            return 0
        code = slot.process.poll()
        if code is not None:
            self._forget_report(slot)
            slot.pause = min(slot.pause * 2, LONGEST_PAUSE) if now - slot.started < YOUNG_SECONDS else SHORTEST_PAUSE
            slot.start_at = now + slot.pause
            slot.process, slot.ready = None, False
            if not self._ended and self._was_ready:
                logger.warning("worker %d ended with %d, starting another in %.1f s", slot.number, code, slot.pause)
            # An app whose first worker ends before it serves anything will not load the next time either.
            return code if code == REFUSED or not self._was_ready else 0
        if self.function_timeout is not None and slot.ready:
            # A worker that is silent hangs with the interpreter's lock held: its function counts from the last word.
            since = min(slot.heard, slot.oldest or slot.heard)
            if now - since > self.function_timeout:
                name = slot.oldest_name or "a function"
                logger.error("worker %d: %s ran past functionTimeout, killing the worker", slot.number, name)
                self._kill(slot.process)
        return 0

    def _start(self, slot: Slot) -> None:
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "local.host.worker", "--project", str(self.project)]
        numbers = {"socket-fd": self.socket_fd, "report-fd": writing, "slot": slot.number, "parent": os.getpid()}
        command += [word for name, value in numbers.items() for word in (f"--{name}", str(value))]
        # A session of its own: its process group holds the children that a task may have started.
        slot.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=(self.socket_fd, writing), start_new_session=True
        )
        os.close(writing)
        slot.report, slot.unread, slot.ready, slot.oldest = reading, b"", False, None
        slot.started = slot.heard = time.monotonic()
        self._selector.register(reading, selectors.EVENT_READ, slot)

    def _read(self, slot: Slot) -> None:
        data = os.read(slot.report, 65536)
        if not data:
            self._forget_report(slot)
            return
        slot.heard = time.monotonic()
        *lines, slot.unread = (slot.unread + data).split(b"\n")
        for line in lines:
            report = json.loads(line)
            slot.ready = slot.ready or bool(report.get("ready"))
            self._was_ready = self._was_ready or slot.ready
            slot.oldest, slot.oldest_name = report.get("started"), report.get("name") or ""

    def _forget_report(self, slot: Slot) -> None:
        if slot.report >= 0:
            self._selector.unregister(slot.report)
            os.close(slot.report)
            slot.report = -1

    def _write_status(self) -> None:
        pids = [slot.process.pid for slot in self._slots if slot.process]
        ready = all(slot.ready for slot in self._slots)
        text = json.dumps({"url": self.url, "pids": pids, "ready": ready})
        if text != self._written:
            draft = self.status_file.with_suffix(".new")
            draft.write_text(text)
            draft.replace(self.status_file)
            self._written = text

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        """End a worker with the children that it started; not reaped yet, so that its ids are still its own."""
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)

    def _end(self, *_: object) -> None:
        self._ended = True
