"""The context of a task: all that a handler may touch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from repositories.postgres import Connection, Database
from repositories.storage.blobs import Blobs
from schema.errors import TaskInterrupted
from schema.jobs import Json, Source, Task
from schema.settings import Settings


@dataclass
class TaskContext:
    """Ids, parameters, a work folder, blobs and database for one try of one task.

    A handler is a function `handler(ctx) -> dict`. What it writes through `ctx.transaction` commits together with the
    completion of its task, or not at all. It raises PermanentError when the input cannot work; anything else is tried
    again.
    """

    task: Task
    source: Source | None
    settings: Settings
    blobs: Blobs
    database: Database
    lost: Callable[[], bool] = lambda: False
    """Tells whether the task is no longer this worker's."""
    _exit: ExitStack = field(default_factory=ExitStack)
    _transaction: Connection | None = None
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    @property
    def parameters(self) -> Json:
        """The task's parameters, as create_tasks gave them."""
        return self.task.parameters

    @property
    def job_id(self) -> str:
        """The job's id."""
        return self.task.job_id

    @property
    def work_prefix(self) -> str:
        """Prefix of this job's blobs in the work container. Names below it must bear the attempt."""
        return f"{self.task.job_id}/"

    @cached_property
    def work_folder(self) -> Path:
        """A folder of this try alone, removed at its end."""
        path = Path(tempfile.mkdtemp(prefix=f"geostage-{self.task.task_id}-"))
        self._exit.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    @property
    def has_effects(self) -> bool:
        """Tell whether the handler has begun the transaction that finishes the task."""
        return self._transaction is not None

    @property
    def transaction(self) -> Connection:
        """The transaction that finishes the task, begun on first use: open it when the rows are ready, not before."""
        if self._transaction is None:
            self._transaction = self._exit.enter_context(self.database.transaction())
        return self._transaction

    def after_commit(self, act: Callable[[], None]) -> None:
        """Have something done when the task is finished: what must not be undone while the transaction still may be.

        It may be cut short and is not tried again, and others may have begun to work on the same things.
        """
        self._afterwards.append(act)

    @property
    def afterwards(self) -> tuple[Callable[[], None], ...]:
        """What the handler left for after the commit."""
        return tuple(self._afterwards)

    def of(self, source: Source) -> TaskContext:
        """Give the same try with another source, for a task that works on several."""
        return replace(self, source=source)

    def check(self) -> None:
        """Stop if the task was cancelled or taken over; call it at every batch or block. Raises TaskInterrupted."""
        if self.lost():
            raise TaskInterrupted(f"Task {self.task.task_id} was cancelled or taken over.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # An error inside rolls the transaction back; a clean exit commits it.
        return self._exit.__exit__(kind, error, trace)
