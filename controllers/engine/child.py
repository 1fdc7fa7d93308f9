"""A child process: runs and finishes one task at a time, as its parent asks.

The two speak in JSON lines. In: {"claim": {...}} to run a claimed task, {"lost": true} to stop it. Out: {"ready": true}
once, {"log": [level, message]} for each line of the log, {"finished": {"job_id", "stage_n"}} when the task's
transaction has ended, with the stage that its job has moved on to or null, and {"done": true} when the work after
the commit is done too.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from typing import Any, TextIO

from pydantic import TypeAdapter

from controllers.engine import log
from repositories.jobs.tasks import Claim

CLAIM = TypeAdapter(Claim)
"""Writes a claim as JSON, and reads it again."""


class _LogLines(logging.Handler):
    def __init__(self, parent: Parent) -> None:
        super().__init__(logging.INFO)
        self._parent = parent

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the parent, whose log is the one that is kept."""
        self._parent.send(log=[record.levelno, record.getMessage()])


class Parent:
    """The stream to the parent, safe between threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, **line: Any) -> None:
        """Send one line."""
        with self._lock:
            self._stream.write(json.dumps(line) + "\n")
            self._stream.flush()


def main(builder: str, kind: str) -> None:
    """Serve tasks until the parent goes away. `builder` is "module:function", `kind` the queue to be warm for."""
    # What libraries print, GDAL among them, must not get between the lines: stdout becomes stderr for them.
    parent = Parent(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, handlers=[_LogLines(parent)])
    log.quiet_libraries()
    module, function = builder.split(":")
    engine = getattr(import_module(module), function)()
    if find_spec(f"services.handlers.{kind}"):
        import_module(f"services.handlers.{kind}")
    claims: queue.Queue[Claim] = queue.Queue()
    lost = threading.Event()
    threading.Thread(target=_listen, args=(claims, lost), name="parent", daemon=True).start()
    parent.send(ready=True)
    while True:
        claim = claims.get()
        outcome = engine.runner.run_handler(claim, lost.is_set)
        # Sent first: whatever happens to this process now, the task has ended and its job may go on.
        parent.send(finished=asdict(outcome.next_stage) if outcome.next_stage else None)
        engine.runner.run_after_commit(claim, outcome)
        parent.send(done=True)


def _listen(claims: queue.Queue[Claim], lost: threading.Event) -> None:
    for line in sys.stdin:
        told = json.loads(line)
        if "lost" in told:
            lost.set()
        else:
            lost.clear()
            claims.put(CLAIM.validate_python(told["claim"]))
    # The parent is gone: nobody renews the lease any more.
    os._exit(1)
