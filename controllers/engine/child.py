"""A child process: runs the handler and the finish of one task at a time, on its parent's word.

Words are JSON lines. In: {"claim": {...}} to run a claimed task, {"lost": true} to stop it. Out: {"ready": true} once,
{"log": [level, message]} for each line of the journal, {"advanced": {"job_id", "stage_n"}} when a task's job has moved
on to another stage, {"done": true} after each task.
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

from controllers.engine.log import quiet_libraries
from repositories.jobs.tasks import Claim

CLAIM = TypeAdapter(Claim)
"""Writes a claim as JSON, and reads it again."""


class _Journal(logging.Handler):
    def __init__(self, out: Words) -> None:
        super().__init__(logging.INFO)
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line to the parent, whose log is the one that is kept."""
        self._out.say(log=[record.levelno, record.getMessage()])


class Words:
    """The line to the parent, safe between threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def say(self, **word: Any) -> None:
        """Send one word."""
        with self._lock:
            self._stream.write(json.dumps(word) + "\n")
            self._stream.flush()


def main(builder: str, kind: str) -> None:
    """Serve tasks until the parent goes away. `builder` is "module:function", `kind` the queue to be warm for."""
    # What libraries print must not get between the words.
    words = Words(os.fdopen(os.dup(1), "w", encoding="utf-8"))
    os.dup2(2, 1)
    logging.basicConfig(level=logging.INFO, handlers=[_Journal(words)])
    quiet_libraries()
    module, function = builder.split(":")
    engine = getattr(import_module(module), function)()
    if find_spec(f"services.handlers.{kind}"):
        import_module(f"services.handlers.{kind}")
    asked: queue.Queue[dict[str, Any]] = queue.Queue()
    lost = threading.Event()
    threading.Thread(target=_listen, args=(asked, lost), name="parent", daemon=True).start()
    words.say(ready=True)
    while True:
        claim = CLAIM.validate_python(asked.get()["claim"])
        engine.runner.execute(claim, lost.is_set, lambda message: words.say(advanced=asdict(message)))
        words.say(done=True)


def _listen(asked: queue.Queue[dict[str, Any]], lost: threading.Event) -> None:
    for line in sys.stdin:
        word = json.loads(line)
        if "lost" in word:
            lost.set()
        else:
            lost.clear()
            asked.put(word)
    # The parent is gone: nobody renews the lease any more.
    os._exit(1)
