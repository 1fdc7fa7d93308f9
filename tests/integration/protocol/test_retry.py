"""Retry by the user: the one way out of failed."""

import pytest

from controllers.base import JobOutcome
from schema.errors import Conflict, NotFound, PermanentError
from schema.jobs import Job, JobStatus, Json, TaskStatus
from schema.messages import JobMessage
from services.context import TaskContext
from tests.integration.protocol.world import World, broken, leave_effect


def failed_job(world: World, *sizes: int, fails: int = 1) -> Job:
    """A job whose first stage failed with its n-th task; the handler works again from here on."""
    job = world.started(*sizes)
    world.handlers["work"] = broken
    for _ in range(3):
        world.execute(world.claim(job, fails))
    world.handlers["work"] = leave_effect
    world.lose_messages()
    assert world.job(job).status is JobStatus.FAILED
    return world.job(job)


def test_retry_puts_back_all_that_is_not_completed(world: World) -> None:
    job = world.started(4, 1)
    world.execute(world.claim(job, 2))
    world.claim(job, 3)
    world.handlers["work"] = broken
    for _ in range(3):
        world.execute(world.claim(job, 1))
    world.handlers["work"] = leave_effect
    assert world.statuses(job) == ["failed", "completed", "cancelled", "cancelled"]
    reopened = world.engine.retry(job.job_id)
    assert (reopened.status, reopened.error, reopened.finished_at) == (JobStatus.PROCESSING, None, None)
    assert world.statuses(job) == ["queued", "completed", "queued", "queued"]
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED
    assert len(world.effects(job)) == 5


def test_the_attempt_only_grows_and_the_budget_begins_anew(world: World) -> None:
    job = failed_job(world, 1)
    world.engine.retry(job.job_id)
    task = world.tasks(job)[0]
    assert (task.attempt, task.tries, task.deaths, task.error) == (3, 0, 0, None)
    assert world.claim(job).task.attempt == 4


def test_a_worker_from_before_the_retry_commits_nothing(world: World) -> None:
    job = world.started(2)
    zombie = world.claim(job, 2)
    world.handlers["work"] = broken
    for _ in range(3):
        world.execute(world.claim(job, 1))
    world.handlers["work"] = leave_effect
    world.engine.retry(job.job_id)
    holder = world.claim(job, 2)
    world.execute(zombie)
    assert world.effects(job) == []
    assert world.tasks(job)[1].attempt == holder.task.attempt == 2


def test_retry_does_not_reach_back_to_earlier_stages(world: World) -> None:
    job = world.started(2, 1, on_failure="finish_all")

    def first_stage_fails(ctx: TaskContext) -> Json:
        if ctx.task.stage_n == 1 and ctx.task.task_index == 1:
            raise PermanentError("tolerated")
        return leave_effect(ctx)

    shape = world.controllers[job.job_type]
    shape.aggregate = lambda _: JobOutcome({}, JobStatus.FAILED)  # type: ignore[attr-defined]
    world.handlers["work"] = first_stage_fails
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED
    shape.aggregate = None  # type: ignore[attr-defined]
    world.engine.retry(job.job_id)
    assert world.statuses(job, 1) == ["failed", "completed"]
    assert world.job(job).status is JobStatus.COMPLETED


def test_retry_with_nothing_left_to_run_advances(world: World) -> None:
    shape = world.shape(2)

    def bug(_: object) -> JobOutcome:
        raise KeyError("bug")

    shape.aggregate = bug
    job = world.submit(shape)
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED
    shape.aggregate = None
    assert world.engine.retry(job.job_id).status is JobStatus.COMPLETED
    assert world.job(job).status is JobStatus.COMPLETED
    assert len(world.effects(job)) == 2


def test_retry_of_a_job_that_never_started_starts_it(world: World) -> None:
    shape = world.shape(2)

    def bug(*_: object) -> list[object]:
        raise KeyError("bug")

    shape.create = bug  # type: ignore[assignment]
    job = world.submit(shape)
    world.run_all()
    assert world.job(job).status is JobStatus.FAILED
    shape.create = None
    assert world.engine.retry(job.job_id).status is JobStatus.QUEUED
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_retry_of_a_job_that_failed_between_stages_starts_the_next_one(world: World) -> None:
    job = world.started(1, 1)
    world.execute(world.claim(job))
    # As it stands when the worker that ended the first stage died before it could start the second one.
    world.sql("DELETE FROM app.tasks WHERE stage_n = 2")
    world.sql("UPDATE app.jobs SET start_failures = 2, stage_tasks = NULL")
    world.engine.poisoned("geo-jobs", JobMessage(job.job_id, 2).encode().encode())
    assert world.job(job).status is JobStatus.FAILED
    world.lose_messages()
    world.engine.retry(job.job_id)
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_job_can_be_tried_again_as_often_as_it_fails(world: World) -> None:
    job = failed_job(world, 2)
    world.handlers["work"] = broken
    for _ in range(3):
        world.engine.retry(job.job_id)
        world.run_all()
        assert world.job(job).status is JobStatus.FAILED
    assert len(world.job(job).stage_history) == 1
    world.handlers["work"] = leave_effect
    world.engine.retry(job.job_id)
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_lost_message_of_a_retry_is_sent_again(world: World) -> None:
    job = failed_job(world, 1)
    world.engine.retry(job.job_id)
    world.lose_messages()
    world.all_due()
    world.sweep()
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_retry_of_a_job_that_has_not_failed_is_a_conflict(world: World) -> None:
    queued = world.submit_shape(1)
    running = world.started(1)
    cancelled = world.started(1)
    world.engine.cancel(cancelled.job_id)
    completed = world.started(1)
    world.run_task(world.tasks(completed)[0])
    partly = world.started(2, on_failure="finish_all")
    world.sql("UPDATE app.tasks SET max_tries = 1 WHERE job_id = %s AND task_index = 1", [partly.job_id])
    world.handlers["work"] = broken
    world.execute(world.claim(partly, 1))
    world.handlers["work"] = leave_effect
    world.execute(world.claim(partly, 2))
    assert world.job(partly).status is JobStatus.COMPLETED_WITH_ERRORS
    for job in (queued, running, cancelled, completed, partly):
        with pytest.raises(Conflict, match="only a failed job"):
            world.engine.retry(job.job_id)


def test_retry_of_an_unknown_job_is_not_found(world: World) -> None:
    with pytest.raises(NotFound):
        world.engine.retry("0" * 32)


def test_retry_is_refused_when_the_work_area_is_gone(world: World) -> None:
    job = failed_job(world, 1)
    world.sql("UPDATE app.jobs SET clear_at = clock_timestamp() - interval '1 s'")
    world.sweep()
    with pytest.raises(Conflict, match="temporary data"):
        world.engine.retry(job.job_id)
    assert world.statuses(job) == ["failed"]


def test_retry_is_refused_after_an_error_that_no_retry_can_mend(world: World) -> None:
    def hopeless(_: TaskContext) -> Json:
        raise PermanentError("no layer")

    world.handlers["work"] = hopeless
    job = world.started(1)
    world.run_all()
    with pytest.raises(Conflict, match="temporary data"):
        world.engine.retry(job.job_id)


def test_retry_is_refused_while_a_newer_job_does_the_same_work_and_names_it(world: World) -> None:
    shape = world.shape(1)
    world.handlers["work"] = broken
    job = world.submit(shape, resource_id="same")
    world.run_all()
    newer = world.submit(shape, resource_id="same")
    assert newer.job_id != job.job_id
    with pytest.raises(Conflict, match=newer.job_id):
        world.engine.retry(job.job_id)
    assert world.job(job).status is JobStatus.FAILED
    assert world.tasks(job)[0].status is TaskStatus.FAILED
    world.engine.cancel(newer.job_id)
    assert world.engine.retry(job.job_id).status is JobStatus.PROCESSING
