"""Memory and time of processes, seen from outside."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def watching(pids: Callable[[], list[int]]) -> Iterator[list[float]]:
    """Yield the largest VmHWM, in megabytes, of processes that come and go while the block runs."""
    peak, done = [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            peak[0] = max([peak[0], *(high_water(pid) for pid in pids())])

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def high_water(pid: int) -> float:
    """VmHWM of a process in megabytes; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)


def tree(pid: int) -> list[int]:
    """A process and all below it."""
    try:
        below = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
                 for child in (task / "children").read_text().split()]  # fmt: skip
    except OSError:
        below = []
    return [pid, *(one for child in below for one in tree(child))]


def cpu_seconds(pid: int) -> float:
    """CPU time of a process that runs."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
