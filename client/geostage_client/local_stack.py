"""The local stack that runs in a checkout: where it listens, read from the state file that its owner writes."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

STACK = "dev"
"""What ./dev up starts; the stacks of tests are nobody's to work with."""


@dataclass(frozen=True)
class LocalStack:
    """A running stack, as `.local/<name>/state.json` describes it."""

    name: str
    api: str
    key: str = field(repr=False)
    """Empty when the stack asks for none."""
    storage_connection_string: str = field(repr=False)


def find_stack(project: Path) -> LocalStack | None:
    """Return the stack of a checkout that people work with; None while it does not run."""
    if os.name != "posix":
        return None  # the stack runs on Linux alone
    path = project / ".local" / STACK / "state.json"
    try:
        # A file that someone else put there, in /tmp say, must not decide where our key and our data are sent.
        if path.stat().st_uid != os.getuid():
            return None
        state: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(state, dict) or not state.get("api") or not _runs(state.get("processes", {}).get("owner", {})):
        return None
    connection = state.get("storage_connection_string", "")
    return LocalStack(path.parent.name, state["api"], state.get("key", ""), connection)


def projects(prefix: Path, start: Path) -> Iterator[Path]:
    """Yield the checkouts whose stack may be meant.

    A client that ./dev installed (`prefix` is <checkout>/.local/venv) serves that checkout alone, from wherever it is
    called; any other one looks in `start` and the folders above it.
    """
    if prefix.parts[-2:] == (".local", "venv"):
        yield prefix.parent.parent
    else:
        yield from (folder for folder in (start, *start.parents) if (folder / ".local").is_dir())


def _runs(process: dict[str, int]) -> bool:
    """Whether a process still runs: its id and its start time, field 22 of /proc/<pid>/stat, are the same."""
    try:
        stat = Path(f"/proc/{process['pid']}/stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, KeyError):
        return False
    # The command name, in parentheses, may hold blanks: fields are counted after it.
    fields = stat.rpartition(")")[2].split()
    return fields[0] not in "ZX" and int(fields[19]) == process.get("started")
