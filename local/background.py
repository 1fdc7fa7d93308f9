"""A stack in the background: it is owned by a process of its own, which outlives whoever asked for it.

    state = background.join("dev")
    httpx.get(f"{state.api}/health")

./dev env joins it, and ./dev down stops it, as if ./dev up ran in another terminal: that is what runs.
"""

import contextlib
import sys
import time

from local.api import wait_for_health
from local.errors import StackError
from local.paths import LOCAL, PROJECT
from local.servers.processes import spawn, stop
from local.state import StackState

START_SECONDS = 180.0


def join(name: str) -> StackState:
    """Return the state of the running stack of that name, which is started first unless it runs already.

    Raises
    ------
    StackError
        It does not start; the message ends with the last lines of its log.
    """
    state = StackState.read(LOCAL / name / "state.json")
    if state.running:
        return state
    log = LOCAL / name / "up.log"  # not in the folder log/, which the stack clears when it starts
    log.unlink(missing_ok=True)
    process = spawn([sys.executable, "-m", "local.cli", "up", "--name", name], log, cwd=PROJECT)
    with contextlib.ExitStack() as on_error:
        on_error.callback(stop, process, grace=60.0)
        deadline = time.monotonic() + START_SECONDS
        while True:
            started = StackState.read(LOCAL / name / "state.json")
            # The file may still be that of an owner who was killed.
            if started.running and started.owner == process:
                break
            if not process.alive() or time.monotonic() > deadline:
                last_lines = "\n".join(log.read_text().splitlines()[-20:])
                raise StackError(
                    f"The stack '{name}' did not start. The end of {log.relative_to(PROJECT)}:\n{last_lines}"
                )
            time.sleep(0.1)
        wait_for_health(started.api)
        on_error.pop_all()
    return started
