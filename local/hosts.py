"""A running local Functions host, seen from the stack that started it."""

import json
import os
import secrets
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.errors import StackError
from local.paths import PROJECT
from local.servers.ports import LOOPBACK, listening_socket
from local.servers.processes import ProcessId, spawn, stop

FIRST_PORT = 7071


@dataclass(frozen=True)
class HostOptions:
    """How a host runs."""

    workers: int
    env: dict[str, str]  # added to the caller's environment
    project: Path  # the folder with function_app.py and host.json
    port: int | None  # None: the first free one from 7071 up
    auth: bool  # ask for the function key


@dataclass
class Host:
    """A supervisor process with its workers; stop() is safe to call twice."""

    number: int
    folder: Path
    options: HostOptions
    on_stop: Callable[["Host"], None]
    url: str = ""  # with the route prefix, as http://127.0.0.1:7071/api
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))  # asked for only with options.auth
    _process: ProcessId | None = None

    @property
    def name(self) -> str:
        """The name in the stack's state file, and of the log."""
        return f"host-{self.number}"

    @property
    def log(self) -> Path:
        """One JSON object per line, of all workers and the supervisor."""
        return self.folder / "log" / f"{self.name}.log"

    @property
    def status_file(self) -> Path:
        """Where the supervisor writes {"url", "pids", "ready"}."""
        return self.folder / f"{self.name}.json"

    def worker_pids(self) -> list[int]:
        """Ids of the worker processes that run now, in slot order."""
        pids: list[int] = read_status(self.status_file).get("pids", [])
        return pids

    def launch(self) -> ProcessId:
        """Start the supervisor on a socket that is bound already, so that no one can take the port in between."""
        self.status_file.unlink(missing_ok=True)
        tries = 1 if self.options.port else 500
        sock = listening_socket(self.options.port or FIRST_PORT, tries)
        self.url = f"http://{LOOPBACK}:{sock.getsockname()[1]}"
        command = [sys.executable, "-m", "local.host", "--socket-fd", str(sock.fileno())]
        command += ["--project", str(self.options.project), "--workers", str(self.options.workers)]
        command += ["--status", str(self.status_file)]
        env = {**os.environ, **self.options.env, "PYTHONPATH": str(PROJECT)}
        if self.options.auth:
            env["LOCAL_HOST_KEY"] = self.key
        with sock:
            self._process = spawn(command, self.log, env, self.options.project, (sock.fileno(),))
        return self._process

    def wait(self, seconds: float = 60.0) -> None:
        """Wait until every worker serves. Raises StackError with the end of the host's log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process is not None and self._process.alive():
            status = read_status(self.status_file)
            if status.get("ready"):
                self.url = status["url"]
                return
            time.sleep(0.05)
        lines = self.log.read_text().splitlines()[-20:] if self.log.exists() else []
        said = "\n".join(_message(line) for line in lines)
        raise StackError(f"The host did not start. The end of {self.log}:\n{said}")

    def running(self) -> bool:
        """Whether the supervisor runs."""
        return self._process is not None and self._process.alive()

    def stop(self) -> None:
        """End the host: workers stop taking messages, running functions may end."""
        if self._process is not None:
            stop(self._process, grace=30.0)
            self._process = None
        self.status_file.unlink(missing_ok=True)
        self.on_stop(self)


def read_status(path: Path) -> dict[str, Any]:
    """Return what a supervisor reports of itself: url, pids, ready; empty while none runs."""
    try:
        status: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return {}
    return status


def _message(line: str) -> str:
    """Return the message and the exception of a JSON log line; another line as it is."""
    try:
        record = json.loads(line)
    except ValueError:
        return line
    if not isinstance(record, dict):
        return line
    return "\n".join(str(record[key]) for key in ("message", "exception") if key in record)
