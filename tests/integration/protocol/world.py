"""The engine on job types made to measure."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from controllers.base import Controller, JobOutcome
from controllers.engine.engine import Engine
from repositories.jobs import jobs, tasks
from repositories.jobs.tasks import Claim
from repositories.postgres import Connection
from repositories.storage.queues import FakeQueues
from schema.jobs import FailurePolicy, Job, JobStatus, Json, Stage, Task, TaskResult, TaskSpec, TaskStatus
from schema.messages import JOB_QUEUE, TASK_QUEUES, JobMessage, TaskMessage
from services import Handler
from services.context import TaskContext
from tests.fixtures.world import KIND_OF, EngineWorld

_numbers = itertools.count(1)


class Shape(Controller):
    """A job type with `sizes[i]` tasks in stage i+1; `create`, `hand_over` and `aggregate` stand in for its methods."""

    create: Callable[[Stage, Job], list[TaskSpec]] | None = None
    hand_over: Callable[[], Json] = staticmethod(dict)
    aggregate: Callable[[Sequence[TaskResult]], JobOutcome] | None = None
    named: tuple[str, str] | None = None

    def __init__(
        self, job_type: str, *sizes: int, queue: str = "light", on_failure: FailurePolicy = "fail_fast"
    ) -> None:
        self.job_type = job_type  # type: ignore[misc]
        self.sizes = sizes
        names = [f"stage{number}" for number in range(1, len(sizes) + 1)]
        self.stages = tuple(Stage(name, KIND_OF[TASK_QUEUES[queue]], on_failure) for name in names)  # type: ignore[misc, arg-type]

    def source(self, parameters: Any) -> tuple[str, str] | None:
        del parameters
        return self.named

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        del previous
        if self.create:
            return self.create(stage, job)
        return [TaskSpec("work", {"number": number}) for number in range(self.sizes[job.current_stage_n - 1])]

    def stage_data(self, stage: Stage, job: Job, results: Sequence[TaskResult]) -> Json:
        del stage, job, results
        return self.hand_over()

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        del job
        if self.aggregate:
            return self.aggregate(results)
        done = sum(result.status is TaskStatus.COMPLETED for result in results)
        status = JobStatus.COMPLETED if done == len(results) else JobStatus.COMPLETED_WITH_ERRORS
        return JobOutcome({"done": done}, status)


def leave_effect(ctx: TaskContext) -> Json:
    """Write a row in the transaction that finishes the task."""
    ctx.transaction.execute(
        "INSERT INTO geo.effects (task_id, attempt) VALUES (%s, %s)", [ctx.task.task_id, ctx.task.attempt]
    )
    return {"attempt": ctx.task.attempt}


def broken(_: TaskContext) -> Json:
    """Raise what no handler foresees."""
    raise ValueError("unlucky")


class NotedQueues(FakeQueues):
    """Queues in memory that note (queue, delay) of what was sent with a delay, and can be hidden by a dead worker."""

    def __init__(self) -> None:
        super().__init__()
        self.all_hidden = False
        self.sent: list[tuple[str, float]] = []

    def send(self, queue: str, messages: Sequence[str], *, delay_seconds: float = 0) -> None:
        if delay_seconds:
            self.sent.append((queue, delay_seconds))
        super().send(queue, messages, delay_seconds=delay_seconds)

    def has_waiting(self, queue: str) -> bool:
        return super().has_waiting(queue) and not self.all_hidden


@dataclass
class World(EngineWorld):
    """A deployment whose only task is `work`, and what a test does to it."""

    queues: NotedQueues = field(default_factory=NotedQueues)
    controllers: dict[str, Controller] = field(default_factory=dict)
    handlers: dict[str, Handler] = field(default_factory=lambda: {"work": leave_effect})

    def shape(self, *sizes: int, queue: str = "light", on_failure: FailurePolicy = "fail_fast") -> Shape:
        """Register a job type."""
        controller = Shape(f"shape_{next(_numbers)}", *sizes, queue=queue, on_failure=on_failure)
        self.controllers[controller.job_type] = controller
        return controller

    def submit(self, controller: Controller, *, key: str | None = None, **parameters: Any) -> Job:
        """POST a job; without parameters it is like no other."""
        body = parameters or {"resource_id": f"file-{next(_numbers)}"}
        return self.engine.submit(controller.job_type, json.dumps(body).encode(), idempotency_key=key).job

    def submit_shape(self, *sizes: int, **options: Any) -> Job:
        """Register a job type and POST a job of it."""
        return self.submit(self.shape(*sizes, **options))

    def started(self, *sizes: int, **options: Any) -> Job:
        """A job whose first stage was started; its messages wait in the queues."""
        job = self.submit_shape(*sizes, **options)
        self.queues.drain(JOB_QUEUE)
        self.start(job)
        return self.job(job)

    def start(self, job: Job) -> None:
        """Start the current stage."""
        self.engine.start_stage(JobMessage(job.job_id, self.job(job).current_stage_n))

    def claim(self, job: Job, number: int = 1, *, lease_seconds: float = 60) -> Claim:
        """Claim a task of the current stage, which must be free."""
        claim = self.try_claim(self.tasks(job)[number - 1].task_id, lease_seconds=lease_seconds)
        assert claim is not None, "the claim was refused"
        return claim

    def try_claim(self, task_id: str, *, lease_seconds: float = 60) -> Claim | None:
        """Claim a task, if it is to be had."""
        times = {"lease": timedelta(seconds=lease_seconds), "deadline": timedelta(seconds=540)}
        with self.database.connection() as conn:
            return tasks.claim_task(conn, task_id, **times)

    def execute(self, claim: Claim) -> None:
        """Run a claimed task to its end, and start the stage that it leads to."""
        outcome = self.engine.runner.run_handler(claim, lambda: False)
        self.engine.runner.run_after_commit(claim, outcome)
        if outcome.next_stage:
            self.engine.start_stage(outcome.next_stage)

    def run_task(self, task: Task | str) -> None:
        """Deliver the message of a task."""
        task_id = task if isinstance(task, str) else task.task_id
        self.engine.run_task(TaskMessage(task_id), "light")

    def lose_messages(self) -> int:
        """Drop what the queues hold."""
        return len(self.drain())

    def sweep(self, engine: Engine | None = None) -> bool:
        """Run a pass of the sweep, as if the last one was 30 s ago."""
        self.sql("UPDATE app.sweep SET swept_at = clock_timestamp() - interval '30 s'")
        return (engine or self.engine).sweeper.sweep(period_seconds=10)

    def all_due(self) -> None:
        """Let the times of the next sends pass."""
        self.sql("UPDATE app.jobs SET resend_at = clock_timestamp() - interval '1 s' WHERE finished_at IS NULL")
        self.sql("UPDATE app.tasks SET resend_at = clock_timestamp() - interval '1 s' WHERE status = 'queued'")

    def expire(self, *task_ids: str) -> None:
        """Let the leases of tasks run out."""
        past = "clock_timestamp() - interval '1 s'"
        self.sql(f"UPDATE app.tasks SET lease_until = {past} WHERE lease_until IS NOT NULL AND task_id = ANY(%s)",
                 [list(task_ids)])  # fmt: skip

    def statuses(self, job: Job, stage_n: int | None = None) -> list[str]:
        """The states of a stage's tasks."""
        return [task.status.value for task in self.tasks(job, stage_n)]

    def effects(self, job: Job) -> list[tuple[str, int]]:
        """Task and attempt of every effect that was committed."""
        rows = self.sql(
            "SELECT task_id, attempt FROM geo.effects WHERE task_id LIKE %s || '%%' ORDER BY 1", [job.job_id]
        )
        return [(row["task_id"], row["attempt"]) for row in rows]

    @contextmanager
    def locked_job(self, job: Job) -> Iterator[Connection]:
        """Hold a job's lock for the block, as a transition in progress does."""
        with self.database.transaction() as conn:
            jobs.lock_job(conn, job.job_id)
            yield conn
