"""The context of a task: all that a handler may touch."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from repositories.postgres import Connection, Database
from repositories.storage.blobs import Blobs
from schema.errors import PermanentError, TaskInterrupted
from schema.jobs import Json, Source, Task
from schema.settings import Settings


@dataclass
class TaskContext:
    """Ids, parameters, a work folder, blobs and database for one attempt at one task.

    A handler is a function `handler(ctx) -> dict`. What it writes through `ctx.transaction` commits together with the
    completion of its task, or not at all. It raises PermanentError when the input cannot work; anything else is
    retried.

    Only handlers receive a context. The libraries below services are passed what they need: a Source, Blobs, a path,
    `ctx.check`; they can be used, and tested, without a task.
    """

    task: Task
    job_source: Source | None
    """The blob that the job was submitted for; None for jobs without one. Handlers use `source`."""
    settings: Settings
    blobs: Blobs
    database: Database
    lost: Callable[[], bool] = lambda: False
    """Whether the task is no longer this worker's."""
    _exit: ExitStack = field(default_factory=ExitStack)
    _transaction: Connection | None = None
    _afterwards: list[Callable[[], None]] = field(default_factory=list)

    @property
    def parameters(self) -> Json:
        """The task's parameters, as create_tasks of the job type returned them."""
        return self.task.parameters

    @property
    def job_id(self) -> str:
        return self.task.job_id

    @property
    def source(self) -> Source:
        """The blob that the job was submitted for.

        Raises
        ------
        PermanentError
            The job has no source: its type does not take one, so a handler that asks is registered for the wrong type.
        """
        if self.job_source is None:
            raise PermanentError("The job has no source.", remediation="Submit it with dataset_id and resource_id.")
        return self.job_source

    @property
    def source_label(self) -> str:
        """The source as messages name it: container/blob. Raises PermanentError when the job has no source."""
        return self.source.label

    @property
    def work_prefix(self) -> str:
        """Prefix of this job's blobs in the work container. Names below it must include the attempt."""
        # A worker that lost its task may still be writing when the next attempt begins.
        return f"{self.task.job_id}/"

    @cached_property
    def work_folder(self) -> Path:
        """A local folder of this attempt alone, removed when it ends."""
        path = Path(tempfile.mkdtemp(prefix=f"geostage-{self.task.task_id}-"))
        self._exit.callback(shutil.rmtree, path, ignore_errors=True)
        return path

    @property
    def has_effects(self) -> bool:
        """Whether the handler has begun the transaction that finishes the task."""
        return self._transaction is not None

    @property
    def transaction(self) -> Connection:
        """The transaction that finishes the task, begun on first use: open it when the rows are ready, not before.

        The server ends a session that idles in a transaction for 60 s.
        """
        if self._transaction is None:
            self._transaction = self._exit.enter_context(self.database.transaction())
        return self._transaction

    def after_commit(self, act: Callable[[], None]) -> None:
        """Run `act` once the task's transaction has committed: for what cannot be rolled back, such as deleting blobs.

        It may be interrupted and is not retried, and other tasks may already be working on the same blobs or tables.
        """
        self._afterwards.append(act)

    @property
    def afterwards(self) -> tuple[Callable[[], None], ...]:
        """What was registered with after_commit, in order."""
        return tuple(self._afterwards)

    def check(self) -> None:
        """Raise TaskInterrupted if the task was cancelled or taken over; call it at every batch or block."""
        if self.lost():
            raise TaskInterrupted(f"Task {self.task.task_id} was cancelled or taken over.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # An error inside rolls the transaction back; a clean exit commits it.
        return self._exit.__exit__(kind, error, trace)
