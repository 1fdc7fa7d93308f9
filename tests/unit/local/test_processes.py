"""Only what was started here is ever stopped."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from local.servers.ports import LOOPBACK, free_ports, listening_socket
from local.servers.processes import ProcessId, spawn, stop
from local.state import StackState

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(flush=True); time.sleep(60)",
]


def test_a_spawned_process_is_stopped(tmp_path: Path) -> None:
    process = spawn(SLEEP, tmp_path / "log")
    assert process.alive()
    stop(process)
    assert not process.alive()
    stop(process)


def test_a_process_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    process = spawn(STUBBORN, tmp_path / "log")
    while not (tmp_path / "log").stat().st_size:
        pass
    stop(process, grace=0.1)
    assert not process.alive()


def test_a_stranger_with_a_reused_id_is_left_alone() -> None:
    with subprocess.Popen(SLEEP) as stranger:
        present = ProcessId.of(stranger.pid)
        assert present is not None
        stop(ProcessId(present.pid, present.started - 1))
        assert present.alive()
        stranger.send_signal(signal.SIGKILL)


def test_taken_ports_are_stepped_over() -> None:
    with listening_socket(21000) as taken:
        port = taken.getsockname()[1]
        assert port not in free_ports(port, 2)
        with listening_socket(port) as other:
            assert other.getsockname()[1] > port


def test_a_socket_that_is_only_bound_is_taken_too() -> None:
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        port = bound.getsockname()[1]
        with listening_socket(port) as other:
            assert other.getsockname()[1] != port


def test_the_state_file_is_read_as_it_was_written_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert StackState.read(path) == StackState()
    me = ProcessId.of(os.getpid())
    assert me is not None
    state = StackState({"owner": me}, {"postgres": 5433}, "postgresql://x", "y", "http://z/api")
    state.write(path)
    assert StackState.read(path) == state
    assert path.stat().st_mode & 0o077 == 0
