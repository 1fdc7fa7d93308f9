"""Processes that the stack started: told apart from strangers, and stopped without touching any other."""

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from local.errors import StackError


@dataclass(frozen=True)
class ProcessId:
    """A process for ever: its id and its start time, so that a reused id is never taken for it."""

    pid: int
    started: int  # clock ticks after boot, field 22 of /proc/<pid>/stat

    @classmethod
    def of(cls, pid: int) -> "ProcessId | None":
        """None when no such process runs; a zombie counts as ended."""
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return None
        # The command name, in parentheses, may hold blanks: count fields after it.
        fields = stat.rpartition(")")[2].split()
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return ProcessId.of(self.pid) == self


_children: list[subprocess.Popen[bytes]] = []  # kept so that ended ones are reaped, and none is warned about


def spawn(
    command: list[str],
    log: Path,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
    pass_fds: tuple[int, ...] = (),
) -> ProcessId:
    """Start a process in a session of its own, so that Ctrl-C reaches only us and we end it in order."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=env,
            cwd=cwd,
            pass_fds=pass_fds,
            start_new_session=True,
        )
    _children.append(child)
    process = ProcessId.of(child.pid)
    if process is None:
        raise StackError(f"{Path(command[0]).name} ended as soon as it was started. Its log is {log}.")
    return process


def stop(process: ProcessId, signal_number: int = signal.SIGTERM, grace: float = 20.0) -> None:
    """Ask a process to end, and kill it after `grace` seconds; one that has ended already is left alone."""
    if process.alive():
        os.kill(process.pid, signal_number)
        if not wait_until_ended(process, grace) and process.alive():
            os.kill(process.pid, signal.SIGKILL)
            wait_until_ended(process, 5.0)
    reap()


def reap() -> None:
    """Collect the children that have ended."""
    _children[:] = [child for child in _children if child.poll() is None]


def wait_until_ended(process: ProcessId, seconds: float) -> bool:
    """Whether the process ended within `seconds`."""
    deadline = time.monotonic() + seconds
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
