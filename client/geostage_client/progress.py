"""Progress on stderr: one line that moves on a terminal, and a few lines elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from geostage_client.api import Json
from geostage_client.output import LABEL_WIDTH, Output, clean, size_of

ENDED = ("completed", "failed", "cancelled")
SHOWN_BYTES = 10_000_000


class Steps:
    """Shows how far something is; anything that it is told may come from another thread."""

    def show(self, label: str, done: float, total: float, text: str) -> None:
        """Show a step: what it is, how far, and the same in words."""


class _Lines(Steps):
    """A line for each new label, and for each tenth of it."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: tuple[str, int] | None = None
        self._said = ""
        self._lock = threading.Lock()

    def show(self, label: str, done: float, total: float, text: str) -> None:
        tenth = int(10 * done / total) if total else 0
        with self._lock:
            if (label, tenth) == self._shown or text == self._said:
                return
            self._shown, self._said = (label, tenth), text
            self._console.print(Text(clean(f"{label:<{LABEL_WIDTH}}{text}")))


class _Bar(Steps):
    """A bar that is drawn over and over, and gone at the end."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None, words="")

    def show(self, label: str, done: float, total: float, text: str) -> None:
        label = f"{clean(label):<{LABEL_WIDTH - 1}}"
        self._progress.update(self._task, description=label, completed=done, total=total or None, words=clean(text))


@contextmanager
def steps(output: Output) -> Iterator[Steps]:
    """Show progress while the block runs; with --json there is none."""
    console = output.progress_console
    if output.as_json:
        yield Steps()
    elif not console.is_terminal or console.is_dumb_terminal:
        yield _Lines(console)
    else:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[words]}", markup=False),
        )
        with Progress(*columns, console=console, transient=True) as progress:
            yield _Bar(progress)


def show_upload(shown: Steps, name: str, sent: int, size: int) -> None:
    """Show how much of a file has left; a small one is gone before anybody could read it."""
    if size >= SHOWN_BYTES:
        shown.show("upload", sent, size, f"{name}, {size_of(sent)} of {size_of(size)}")


def show_job(shown: Steps, job: Json) -> None:
    """Show the stage that a job is in, with its tasks."""
    number = job["current_stage_n"]
    counts: dict[str, int] = (job.get("tasks") or {}).get(str(number), {})
    total, done = sum(counts.values()), sum(counts.get(status, 0) for status in ENDED)
    label = f"stage {number}/{job['stages']}"
    shown.show(label, done, total, f"{job['current_stage']}: {tasks_in_words(counts) or job['status']}")


def tasks_in_words(counts: dict[str, int]) -> str:
    """Return counts of tasks by status as `3 of 12 tasks done, 2 running, 1 failed`; empty where there are none."""
    total = sum(counts.values())
    if not total:
        return ""
    said = [f"{counts.get('completed', 0)} of {total} task{'s' if total > 1 else ''} done"]
    names = {"processing": "running", "failed": "failed", "cancelled": "cancelled"}
    said += [f"{counts[status]} {word}" for status, word in names.items() if counts.get(status)]
    return ", ".join(said)
