"""probe: n tasks that take a while, and fail in the way that they are told."""

import time
from collections.abc import Sequence
from typing import Literal

from controllers.base import Controller, JobOutcome, JobParameters
from schema.errors import PermanentError
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec
from services.context import TaskContext

STEP_SECONDS = 0.05


class ProbeParameters(JobParameters):
    """What the tasks do."""

    n: int = 1
    seconds: float = 0
    fail: Literal["never", "first", "for_good"] = "never"


class Probe(Controller):
    """Tasks that do as they are told."""

    job_type = "probe"
    Parameters = ProbeParameters
    stages = (Stage("execute", queue="light"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """N tasks."""
        del stage, previous
        return [TaskSpec("probe", job.parameters)] * int(job.parameters["n"])

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Count them."""
        del job
        return JobOutcome({"tasks": len(results)})


def handle(ctx: TaskContext) -> Json:
    """Wait, then fail or not."""
    until = time.monotonic() + ctx.parameters["seconds"]
    while time.monotonic() < until:
        ctx.check()
        time.sleep(STEP_SECONDS)
    if ctx.parameters["fail"] == "for_good":
        raise PermanentError("The input cannot work.", remediation="Send another input.")
    if ctx.parameters["fail"] == "first" and ctx.task.attempt == 1:
        raise RuntimeError("cannot reach password=hunter2 host=db.internal")
    return {"attempt": ctx.task.attempt}
