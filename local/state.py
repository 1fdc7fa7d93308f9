"""The state file of a stack: where it listens and which processes it started. Only its owner may read it."""

import json
import os
import signal
from dataclasses import asdict, dataclass, field
from pathlib import Path

from local.servers.processes import ProcessId, stop


@dataclass
class StackState:
    """What another process must know to join or to stop a running stack."""

    processes: dict[str, ProcessId] = field(default_factory=dict)  # by name: postgres, azurite, host-1, owner
    ports: dict[str, int] = field(default_factory=dict)
    postgres_dsn: str = ""
    storage_connection_string: str = ""
    api: str = ""  # of the first host, with its route prefix; empty while none runs
    key: str = ""  # that the first host asks for; empty when it asks for none

    @property
    def owner(self) -> ProcessId | None:
        """The process that started the stack; None while no one has."""
        return self.processes.get("owner")

    @property
    def running(self) -> bool:
        """Whether a host serves and the process that started the stack still looks after it."""
        return bool(self.api) and self.owner is not None and self.owner.alive()

    @classmethod
    def read(cls, path: Path) -> "StackState":
        """Return the state in a file; an empty one when the file does not exist."""
        if not path.exists():
            return cls()
        data = json.loads(path.read_text())
        data["processes"] = {name: ProcessId(**value) for name, value in data["processes"].items()}
        return cls(**data)

    def write(self, path: Path) -> None:
        """Replace the file at once, so that a reader never sees half of it."""
        draft = path.with_suffix(".new")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(self), file, indent=1)
        draft.replace(path)


def stop_all(state: StackState) -> None:
    """End the hosts first, then the servers that they use. The owner, who calls this or is gone, is left alone."""
    names = sorted(state.processes, key=lambda name: (not name.startswith("host"), name))
    for name in names:
        if name != "owner":
            stop(state.processes[name], signal.SIGINT if name == "postgres" else signal.SIGTERM, grace=30.0)
