"""hello_world: n greetings in parallel; the smallest job type, and a probe of a whole deployment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, StrictInt

from controllers.base import Controller, JobOutcome, JobParameters
from schema.jobs import Job, JobStatus, Json, Stage, TaskResult, TaskSpec, TaskStatus


class HelloWorldParameters(JobParameters):
    """How many greetings, and what they say."""

    n: StrictInt = Field(default=1, ge=1, le=1000, description="How many tasks, each with one greeting.", examples=[2])
    message: str = Field(
        default="Hello World", max_length=1000, description="What each of them says.", examples=["Hello"]
    )


class HelloWorld(Controller):
    """Run n tasks that return a greeting each: the smallest job, to try a deployment with."""

    job_type = "hello_world"
    Parameters = HelloWorldParameters
    example: ClassVar[Json] = {"n": 2, "message": "Hello"}
    stages = (Stage("execute", queue="light", on_failure="finish_all"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """One task a greeting."""
        del stage, previous
        message = job.parameters["message"]
        return [TaskSpec("hello", {"hello_number": i, "message": message}) for i in range(1, job.parameters["n"] + 1)]

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Count the greetings and list them."""
        said = [r.result["message"] for r in results if r.status is TaskStatus.COMPLETED and r.result]
        requested = job.parameters["n"]
        statistics = {
            "hellos_requested": requested,
            "hellos_successful": len(said),
            "hellos_failed": requested - len(said),
            "success_rate": percent(len(said), requested),
        }
        partly = JobStatus.COMPLETED_WITH_ERRORS if said else JobStatus.FAILED
        status = JobStatus.COMPLETED if len(said) == requested else partly
        return JobOutcome({"hello_statistics": statistics, "messages": said}, status)


def percent(part: int, whole: int) -> str:
    """Say a share in percent, without decimals that say nothing."""
    return f"{100 * part / whole:.4g}%"
