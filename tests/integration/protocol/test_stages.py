"""Stages: each is started once and left once, also when messages are lost, doubled or late."""

from functools import partial

import pytest

from schema.jobs import JobStatus, TaskSpec
from schema.messages import JobMessage
from tests.fixtures.waiting import at_once
from tests.integration.protocol.world import World

EMPTY = {"first": (0, 2), "middle": (2, 0, 2), "last": (2, 0), "only": (0,), "several": (0, 0, 1, 0, 0)}


@pytest.mark.parametrize("sizes", EMPTY.values(), ids=list(EMPTY))
def test_a_stage_without_tasks_advances(world: World, sizes: tuple[int, ...]) -> None:
    job = world.submit_shape(*sizes)
    world.run_all()
    ended = world.job(job)
    assert ended.status is JobStatus.COMPLETED
    assert [entry["task_count"] for entry in ended.stage_history] == list(sizes)
    assert len(world.effects(job)) == sum(sizes)


def test_a_job_whose_messages_all_come_three_times_runs_each_task_once(world: World) -> None:
    job = world.submit_shape(3, 1, 2)
    world.run_all(copies=3)
    assert world.job(job).status is JobStatus.COMPLETED
    assert len(world.effects(job)) == 6


def test_of_many_starts_at_once_one_inserts_the_tasks(world: World) -> None:
    job = world.submit_shape(5)
    message = JobMessage(job.job_id, 1)
    at_once(*(partial(world.engine.start_stage, message) for _ in range(8)))
    assert world.statuses(job) == ["queued"] * 5


def test_a_second_start_only_sends_the_messages_of_queued_tasks_again(world: World) -> None:
    job = world.started(3)
    world.execute(world.claim(job))
    world.lose_messages()
    world.start(job)
    assert len(world.drain()) == 2
    assert world.statuses(job) == ["completed", "queued", "queued"]


@pytest.mark.parametrize("stage_n", [1, 3, 99])
def test_a_message_for_a_stage_that_is_not_current_does_nothing(world: World, stage_n: int) -> None:
    job = world.started(1, 1, 1)
    world.run_task(world.tasks(job)[0])
    world.lose_messages()
    before = world.job(job)
    world.engine.start_stage(JobMessage(job.job_id, stage_n))
    assert world.job(job) == before
    assert world.drain() == []


def test_a_message_for_a_job_that_is_not_there_does_nothing(world: World) -> None:
    world.engine.start_stage(JobMessage("0" * 32, 1))
    world.run_task(f"{'0' * 32}-1-0001")
    assert world.drain() == []


def test_a_start_that_waited_behind_a_cancel_inserts_nothing(world: World) -> None:
    job = world.submit_shape(3)

    def cancelled_first(*_: object) -> list[TaskSpec]:
        world.engine.cancel(job.job_id)
        return [TaskSpec("work")]

    world.controllers[job.job_type].create = cancelled_first  # type: ignore[attr-defined]
    world.start(job)
    assert world.job(job).status is JobStatus.CANCELLED
    assert world.statuses(job) == []


def test_what_a_stage_hands_over_is_there_in_the_next(world: World) -> None:
    shape = world.shape(1, 1)
    shape.hand_over = lambda: {"mapping": [1, 2]}
    job = world.submit(shape)
    world.run_all()
    assert world.job(job).stage_data == {"mapping": [1, 2]}


def test_a_job_without_any_message_is_finished_by_the_sweep_alone(world: World) -> None:
    job = world.submit_shape(2, 0, 1)
    for _ in range(10):
        world.lose_messages()
        world.all_due()
        world.sweep()
        messages = world.drain()
        for message in messages:
            world.deliver(message)
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_lost_job_message_is_sent_again(world: World) -> None:
    job = world.submit_shape(1)
    assert world.lose_messages() == 1
    world.all_due()
    world.sweep()
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_lost_task_message_is_sent_again(world: World) -> None:
    job = world.started(3)
    assert world.lose_messages() == 3
    world.all_due()
    world.sweep()
    assert len(world.drain()) == 3
    assert world.statuses(job) == ["queued"] * 3


def test_a_message_lost_between_two_stages_is_sent_again(world: World) -> None:
    job = world.started(1, 1)
    world.execute(world.claim(job))
    world.lose_messages()
    world.all_due()
    world.sweep()
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_what_is_not_due_is_not_sent_again(world: World) -> None:
    world.started(2)
    world.submit_shape(1)
    world.lose_messages()
    world.sweep()
    assert world.drain() == []


def test_the_wait_before_a_resend_doubles(world: World) -> None:
    job = world.started(1)
    waits = []
    for _ in range(7):
        world.lose_messages()
        world.all_due()
        world.sweep()
        left = "extract(epoch FROM resend_at - clock_timestamp())::float8"
        waits.append(round(world.sql(f"SELECT {left} AS s FROM app.tasks WHERE job_id = %s", [job.job_id])[0]["s"]))
    assert waits == [60, 120, 240, 480, 900, 900, 900]
