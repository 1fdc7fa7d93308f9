"""Failures: whose they are, what they end, and what they say."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from controllers.base import JobOutcome
from schema.errors import PermanentError
from schema.jobs import JobStatus, Json, Stage, TaskResult, TaskSpec, TaskStatus
from services.context import TaskContext
from tests.integration.protocol.world import World, broken, leave_effect

NUL = chr(0)
UNSTORABLE: dict[str, Any] = {
    "NaN": math.nan,
    "infinity": math.inf,
    "NUL": f"a{NUL}b",
    "half a surrogate pair": "\ud800",
    "no JSON": object(),
}


def permanent(_: TaskContext) -> Json:
    raise PermanentError("The file has no layer.", remediation="Export it again.")


def test_fail_fast_ends_queued_and_running_tasks(world: World) -> None:
    job = world.started(4)
    running = world.claim(job, 2)
    world.execute(world.claim(job, 3))
    world.handlers["work"] = permanent
    world.execute(world.claim(job, 1))
    assert world.statuses(job) == ["failed", "cancelled", "completed", "cancelled"]
    world.handlers["work"] = leave_effect
    world.execute(running)
    ended = world.job(job)
    assert ended.status is JobStatus.FAILED
    assert ended.error is not None
    assert ended.error["message"] == "The file has no layer."
    assert ended.error["task_id"] == running.task.task_id[:-1] + "1"
    assert len(world.effects(job)) == 1


def test_finish_all_lets_the_others_go_on_and_the_controller_decide(world: World) -> None:
    job = world.started(3, on_failure="finish_all")
    world.handlers["work"] = permanent
    world.execute(world.claim(job, 1))
    assert world.job(job).status is JobStatus.PROCESSING
    world.handlers["work"] = leave_effect
    world.run_all()
    assert world.statuses(job) == ["failed", "completed", "completed"]
    assert world.job(job).status is JobStatus.COMPLETED_WITH_ERRORS


@pytest.mark.parametrize("last", [True, False])
def test_finish_all_advances_also_when_the_last_to_end_is_a_failure(world: World, last: bool) -> None:
    job = world.started(2, 1, on_failure="finish_all")
    for number, fails in ((1, not last), (2, last)):
        world.handlers["work"] = permanent if fails else leave_effect
        world.execute(world.claim(job, number))
    world.handlers["work"] = leave_effect
    world.run_all()
    assert world.job(job).stage_history[0]["status"] == "completed_with_errors"
    assert world.job(job).status is JobStatus.COMPLETED


def test_the_controller_may_fail_the_job_for_failed_tasks(world: World) -> None:
    shape = world.shape(2, on_failure="finish_all")
    shape.aggregate = lambda _: JobOutcome({}, JobStatus.FAILED)
    world.handlers["work"] = permanent
    job = world.submit(shape)
    world.run_all()
    error = world.job(job).error
    assert error is not None
    assert (error["code"], error["retryable"]) == ("tasks_failed", True)


def test_a_permanent_error_costs_one_try(world: World) -> None:
    world.handlers["work"] = permanent
    job = world.started(1)
    world.run_all()
    assert world.tasks(job)[0].tries == 1
    assert world.job(job).status is JobStatus.FAILED


def test_any_other_error_is_tried_again_and_the_last_one_is_told(world: World) -> None:
    world.handlers["work"] = broken
    job = world.started(1)
    world.run_all()
    task = world.tasks(job)[0]
    assert (task.status, task.tries, task.attempt) == (TaskStatus.FAILED, 3, 3)
    assert task.error is not None
    assert "unlucky" in task.error["message"]
    assert task.error["retryable"]


def test_a_task_that_is_tried_again_waits_for_its_backoff(world: World) -> None:
    world.engine = world.new_engine(world.settings.model_copy(update={"retry_base_seconds": 30}))
    world.handlers["work"] = broken
    job = world.started(1)
    world.run_all()
    assert world.tasks(job)[0].tries == 1
    assert world.statuses(job) == ["queued"]


def test_a_task_whose_workers_all_died_says_so(world: World) -> None:
    job = world.started(1)
    for _ in range(5):
        world.expire(world.claim(job).task.task_id)
        world.sweep()
    error = world.job(job).error
    assert error is not None
    assert error["code"] == "worker_died"
    assert "5 time(s)" in error["message"]
    assert (world.tasks(job)[0].deaths, world.tasks(job)[0].status) == (5, TaskStatus.FAILED)


def test_takeovers_use_the_budget_of_deaths_too(world: World) -> None:
    job = world.started(1)
    task_id = world.tasks(job)[0].task_id
    granted = 0
    while world.try_claim(task_id):
        granted += 1
        world.expire(task_id)
    assert granted == 5
    world.sweep()
    assert world.job(job).status is JobStatus.FAILED


def test_deaths_of_workers_are_not_charged_to_the_handler(world: World) -> None:
    job = world.started(1)
    for _ in range(4):
        world.expire(world.claim(job).task.task_id)
        world.sweep()
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


@pytest.mark.parametrize("value", UNSTORABLE.values(), ids=list(UNSTORABLE))
def test_a_result_that_cannot_be_stored_is_the_error_of_its_task(world: World, value: Any) -> None:
    world.handlers["work"] = lambda _: {"value": value}
    job = world.started(1)
    world.run_all()
    error = world.tasks(job)[0].error
    assert error is not None
    assert error["code"] == "task_error"
    assert world.job(job).status is JobStatus.FAILED


def test_a_handler_that_gives_no_object_fails_its_task(world: World) -> None:
    world.handlers["work"] = lambda _: None  # type: ignore[assignment, return-value]
    job = world.started(1)
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED


def test_a_task_type_without_a_handler_fails_its_task(world: World) -> None:
    del world.handlers["work"]
    job = world.started(1)
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED


@pytest.mark.parametrize("kind", [ValueError, PermanentError])
@pytest.mark.parametrize("text", [f"bad byte {NUL} in column", "half a pair \ud800"])
def test_an_error_whose_text_cannot_be_stored_is_still_told(world: World, kind: Any, text: str) -> None:
    def work(_: TaskContext) -> Json:
        raise kind(text)

    world.handlers["work"] = work
    job = world.started(1)
    world.run_all()
    error = world.job(job).error
    assert error is not None
    assert text.split()[0] in error["message"]


Create = Callable[[Stage, Any], list[TaskSpec]]


def raising(error: Exception) -> Callable[..., Any]:
    def fail(*_: object) -> Any:
        raise error

    return fail


def test_a_permanent_error_of_create_tasks_fails_the_job_at_once(world: World) -> None:
    shape = world.shape(1)
    shape.create = raising(PermanentError("Nothing to do."))
    job = world.submit(shape)
    world.start(job)
    assert world.job(job).status is JobStatus.FAILED


def test_any_other_error_of_create_tasks_is_tried_again_and_told(world: World) -> None:
    shape = world.shape(1)
    shape.create = raising(RuntimeError(f"a bug {NUL}"))
    job = world.submit(shape)
    world.run_all()
    error = world.job(job).error
    assert error is not None
    assert "a bug" in error["message"]


@pytest.mark.parametrize("value", UNSTORABLE.values(), ids=list(UNSTORABLE))
def test_task_parameters_that_cannot_be_stored_fail_the_job(world: World, value: Any) -> None:
    shape = world.shape(1)
    shape.create = lambda *_: [TaskSpec("work", {"value": value})]
    job = world.submit(shape)
    world.run_all()
    error = world.job(job).error
    assert error is not None
    assert error["code"] == "controller_error"


@pytest.mark.parametrize("value", UNSTORABLE.values(), ids=list(UNSTORABLE))
@pytest.mark.parametrize("on_failure", ["fail_fast", "finish_all"])
def test_a_job_result_that_cannot_be_stored_fails_the_job_and_keeps_its_tasks(
    world: World, value: Any, on_failure: Any
) -> None:
    shape = world.shape(2, on_failure=on_failure)
    shape.aggregate = lambda _: JobOutcome({"value": value})
    job = world.submit(shape)
    world.run_all()
    error = world.job(job).error
    assert error is not None
    assert error["code"] == "controller_error"
    assert world.statuses(job) == ["completed", "completed"]


@pytest.mark.parametrize("stages", [(2,), (2, 1)])
@pytest.mark.parametrize("fails", [True, False])
def test_an_exception_of_the_controller_at_the_end_of_a_stage_fails_the_job(
    world: World, stages: tuple[int, ...], fails: bool
) -> None:
    shape = world.shape(*stages, on_failure="finish_all")
    shape.aggregate = shape.hand_over = raising(KeyError(f"gone {NUL}"))
    job = world.submit(shape)
    world.start(job)
    world.execute(world.claim(job, 1))
    world.handlers["work"] = permanent if fails else leave_effect
    world.run_all()
    error = world.job(job).error
    assert error is not None
    assert error["code"] == "controller_error"
    assert world.statuses(job) == ["completed", "failed" if fails else "completed"]


def test_an_outcome_that_is_no_end_fails_the_job(world: World) -> None:
    def undecided(_: Sequence[TaskResult]) -> JobOutcome:
        return JobOutcome({}, JobStatus.PROCESSING)

    shape = world.shape(1)
    shape.aggregate = undecided
    job = world.submit(shape)
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED


def test_a_job_whose_type_was_removed_fails(world: World) -> None:
    job = world.submit_shape(1)
    del world.controllers[job.job_type]
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED


def test_a_task_of_a_job_whose_type_was_removed_fails_with_its_job(world: World) -> None:
    job = world.started(1)
    world.handlers["work"] = permanent
    del world.controllers[job.job_type]
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED
