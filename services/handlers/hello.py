"""The handlers of the hello job types."""

from __future__ import annotations

import time

from schema.errors import PermanentError
from schema.jobs import Json, task_id_of
from services.context import TaskContext


def hello(ctx: TaskContext) -> Json:
    """Greet once."""
    return {"hello_number": ctx.parameters["hello_number"], "message": ctx.parameters["message"]}


def initial_hello(ctx: TaskContext) -> Json:
    """Greet in the name of the task."""
    began = time.perf_counter()
    number = ctx.parameters["hello_number"]
    return {
        "status": "success",
        "hello_number": number,
        "message": f"Task {ctx.task.task_id} says: {ctx.parameters['message']} - Initial Hello {number}",
        "stage": "initial_hello",
        "task_id": ctx.task.task_id,
        "processing_time_seconds": _since(began),
    }


def validation(ctx: TaskContext) -> Json:
    """Check that every greeting was said, and map each task of stage 3 to the one that it answers."""
    began = time.perf_counter()
    hellos = ctx.parameters["hellos"]
    said = [hello for hello in hellos if hello["stage1_said"]]
    if len(said) != len(hellos):
        raise PermanentError(
            f"{len(hellos) - len(said)} of {len(hellos)} greetings were not said.", remediation="Submit the job again."
        )
    next_stage_n = ctx.task.stage_n + 1
    return {
        "status": "success",
        "stage": "validation",
        "validation_summary": {
            "stage1_tasks_total": len(hellos),
            "stage1_tasks_successful": len(said),
            "stage1_tasks_failed": len(hellos) - len(said),
            "ready_for_stage3": True,
        },
        "stage3_task_mapping": {
            task_id_of(ctx.job_id, next_stage_n, number): hello["responds_to_task_id"]
            for number, hello in enumerate(said, start=1)
        },
        "processing_time_seconds": _since(began),
    }


def response(ctx: TaskContext) -> Json:
    """Answer one greeting."""
    began = time.perf_counter()
    answered = ctx.parameters["responds_to_task_id"]
    message = f"Task {ctx.task.task_id} saying hello to {answered}"
    return {
        "status": "success",
        "stage": "response",
        "response_number": ctx.parameters["response_number"],
        "current_task_id": ctx.task.task_id,
        "responds_to_task_id": answered,
        "response_message": message,
        "original_hello_number": ctx.parameters["original_hello_number"],
        "conversation": {"stage1_said": ctx.parameters["stage1_said"], "stage3_responds": message},
        "processing_time_seconds": _since(began),
    }


def _since(began: float) -> float:
    return round(time.perf_counter() - began, 6)
