"""Greetings: the smallest job type, a probe of a whole deployment, and one whose stages hand on to one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field, StrictInt, field_validator

from controllers.base import Controller, JobOutcome, JobParameters
from schema.jobs import Job, JobStatus, Json, Stage, TaskResult, TaskSpec, TaskStatus


class HelloWorldParameters(JobParameters):
    """How many greetings, and what they say."""

    n: StrictInt = Field(default=1, ge=1, le=1000, description="How many tasks, each with one greeting.", examples=[2])
    message: str = Field(
        default="Hello World", max_length=1000, description="What each of them says.", examples=["Hello"]
    )


class HelloWorld(Controller):
    """Return n greetings, each from a task of its own. It is the smallest job, and shows whether a deployment works."""

    job_type = "hello_world"
    Parameters = HelloWorldParameters
    example: ClassVar[Json] = {"n": 2, "message": "Hello"}
    # Greetings that fail are counted in the result.
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
    """Return a share in percent, without decimals that say nothing."""
    return f"{100 * part / whole:.4g}%"


class HelloWorldSequentialParameters(JobParameters):
    """How many greetings, and what they say."""

    n: int = Field(
        default=1, ge=1, le=20, description="How many greetings, and how many answers to them.", examples=[3]
    )
    message: str = Field(
        default="Sequential Hello Test", max_length=1000, description="What each greeting says.", examples=["Hello"]
    )

    @field_validator("n", mode="before")
    @classmethod
    def _whole(cls, value: object) -> object:
        if type(value) is not int or not 1 <= value <= 20:
            raise ValueError("n must be an integer between 1 and 20")
        return value


class HelloWorldSequential(Controller):
    """Return n greetings and an answer to each, in three stages that use the results of the stage before.

    Stages: initial_hello (n) -> validation (1) -> response (n).
    """

    job_type = "hello_world_sequential"
    Parameters = HelloWorldSequentialParameters
    example: ClassVar[Json] = {"n": 3, "message": "Hello"}
    stages = (
        Stage("initial_hello", queue="light"),
        Stage("validation", queue="light"),
        Stage("response", queue="light"),
    )

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Greet; check all greetings in one task; answer each of them."""
        if stage.name == "initial_hello":
            numbers, message = range(1, job.parameters["n"] + 1), job.parameters["message"]
            return [TaskSpec("hello_initial", {"hello_number": i, "message": message}) for i in numbers]
        if stage.name == "validation":
            greetings = [
                {
                    "responds_to_task_id": result.task_id,
                    "original_hello_number": result.parameters["hello_number"],
                    "stage1_said": (result.result or {}).get("message"),
                }
                for result in previous
            ]
            return [TaskSpec("hello_validation", {"hellos": greetings})]
        checked = {hello["responds_to_task_id"]: hello for hello in previous[0].parameters["hellos"]}
        answered = job.stage_data["stage3_task_mapping"].values()
        return [
            TaskSpec("hello_response", {"response_number": number, **checked[task_id]})
            for number, task_id in enumerate(answered, start=1)
        ]

    def stage_data(self, stage: Stage, job: Job, results: Sequence[TaskResult]) -> Json:
        """Hand on the count of the greetings, then which task answers which."""
        del job
        if stage.name == "initial_hello":
            return {"hellos_successful": sum(r.status is TaskStatus.COMPLETED for r in results)}
        checked = results[0].result or {}
        return {
            "validation_passed": checked["validation_summary"]["ready_for_stage3"],
            "stage3_task_mapping": checked["stage3_task_mapping"],
        }

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Put greetings and answers side by side."""
        answers = [r.result for r in results if r.status is TaskStatus.COMPLETED and r.result]
        requested = job.parameters["n"]
        statistics = {
            "total_stages_completed": len(job.stage_history),
            "stage1_hellos_requested": requested,
            "stage1_hellos_successful": job.stage_data["hellos_successful"],
            "stage2_validation_passed": job.stage_data["validation_passed"],
            "stage3_responses_generated": len(answers),
            "overall_success_rate": percent(len(answers), requested),
        }
        conversations = [
            {
                "stage1_task_id": answer["responds_to_task_id"],
                "stage1_message": answer["conversation"]["stage1_said"],
                "stage3_task_id": answer["current_task_id"],
                "stage3_response": answer["response_message"],
            }
            for answer in answers
        ]
        shown = ("stage_n", "stage", "task_count", "status", "duration_seconds")
        return JobOutcome(
            {
                "sequential_hello_statistics": statistics,
                "stage_conversations": conversations,
                "stage_history": [{key: entry[key] for key in shown} for entry in job.stage_history],
            }
        )
