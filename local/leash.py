"""The leash of a stack: a small process that ends the stack's servers when their owner is gone, even by SIGKILL.

Run as `python -m local.leash FD STATE_FILE`; FD is the reading end of a pipe whose other end only the owner
holds.
"""

import os
import sys
from pathlib import Path

from local.state import StackState, stop_all


def main() -> None:
    """Wait for the end of the owner, then end what it left."""
    descriptor, path, owner = int(sys.argv[1]), Path(sys.argv[2]), os.getppid()
    while os.read(descriptor, 1):
        pass
    state = StackState.read(path)
    if state.owner is not None and state.owner.pid == owner:
        stop_all(state)
        path.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
