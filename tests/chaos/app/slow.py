"""slow: n tasks that take a while and write a row each, then one that counts."""

import time
from collections.abc import Sequence

from controllers.base import Controller, JobOutcome, JobParameters
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec
from services.context import TaskContext


class SlowParameters(JobParameters):
    """How many tasks, and how long each takes."""

    n: int = 1
    seconds: float = 0.2


class Slow(Controller):
    """Tasks that can be interrupted at any time."""

    job_type = "slow"
    Parameters = SlowParameters
    stages = (Stage("many", queue="light"), Stage("one", queue="light"))

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Many, then one."""
        del previous
        number = job.parameters["n"] if stage.name == "many" else 1
        return [TaskSpec("slow", {"seconds": job.parameters["seconds"]})] * number

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Count the tasks of the first stage."""
        del results
        return JobOutcome({"tasks": job.stage_history[0]["task_count"]})


def handle(ctx: TaskContext) -> Json:
    """Hold an uncommitted effect while the time passes."""
    ctx.transaction.execute(
        "INSERT INTO geo.effects (task_id, attempt) VALUES (%s, %s)", [ctx.task.task_id, ctx.task.attempt]
    )
    time.sleep(ctx.parameters["seconds"])
    return {"attempt": ctx.task.attempt}
