"""A stack in the background: it is owned by a process of its own, which outlives whoever asked for it.

    state = background.join("dev")
    httpx.get(f"{state.api}/health")

./dev env joins it, and ./dev down stops it, as if ./dev up ran in another terminal: that is what runs.
"""

import sys
import time
from pathlib import Path

from local.api import wait_for_health
from local.errors import StackError
from local.paths import LOCAL, PROJECT
from local.servers.processes import ProcessId, spawn, stop
from local.state import StackState


def join(name: str) -> StackState:
    """Return the state of the running stack of that name, which is started first unless it runs already.

    Raises
    ------
    StackError
        It does not start; with the last lines of what it said.
    """
    state = StackState.read(LOCAL / name / "state.json")
    return state if state.running else _start(name)


def _start(name: str) -> StackState:
    log = LOCAL / name / "up.log"  # not in the folder log/, which the stack clears when it starts
    log.unlink(missing_ok=True)
    process = spawn([sys.executable, "-m", "local.cli", "up", "--name", name], log, cwd=PROJECT)
    try:
        state = _wait(name, process, log)
        wait_for_health(state.api)
    except BaseException:
        stop(process, grace=60.0)
        raise
    return state


def _wait(name: str, process: ProcessId, log: Path, seconds: float = 180.0) -> StackState:
    """Until the process owns a stack with a host that serves."""
    deadline = time.monotonic() + seconds
    while process.alive() and time.monotonic() < deadline:
        state = StackState.read(LOCAL / name / "state.json")
        if state.running and state.owner == process:
            return state
        time.sleep(0.1)
    last_lines = "\n".join(log.read_text().splitlines()[-20:])
    raise StackError(f"The stack '{name}' does not start ({log.relative_to(PROJECT)}):\n{last_lines}")
