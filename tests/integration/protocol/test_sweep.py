"""Sweep: resend, take back, heal; safe on every instance at once."""

from functools import partial
from typing import Any

import pytest

from repositories.jobs import sweep
from schema.errors import PermanentError, Unavailable
from schema.jobs import JobStatus, TaskStatus
from tests.fixtures.waiting import at_once
from tests.integration.protocol.world import World


def test_one_of_two_sweeps_at_once_runs(world: World) -> None:
    job = world.started(20)
    world.lose_messages()
    world.all_due()
    other = world.new_engine(world.settings)
    world.sql("UPDATE app.sweep SET swept_at = clock_timestamp() - interval '30 s'")
    calls = [partial(engine.sweeper.sweep, period_seconds=10) for engine in (world.engine, other) * 3]
    assert at_once(*calls).count(True) == 1
    assert len(world.drain()) == 20
    assert world.statuses(job) == ["queued"] * 20


def test_two_passes_at_once_take_a_task_back_once(world: World) -> None:
    job = world.started(10)
    claims = [world.claim(job, number).task for number in range(1, 11)]
    world.lose_messages()
    world.expire(*(task.task_id for task in claims))
    sweeper = world.engine.sweeper
    at_once(*[partial(sweeper._repair, "take_back", sweep.expired_tasks, sweeper.take_back)] * 4)
    assert [task.deaths for task in world.tasks(job)] == [1] * 10
    assert world.statuses(job) == ["queued"] * 10
    assert len(world.drain()) == 10


def test_a_take_back_that_comes_late_leaves_the_new_holder_alone(world: World) -> None:
    job = world.started(1)
    seen = world.claim(job).task
    world.expire(seen.task_id)
    holder = world.claim(job).task
    with world.database.connection() as conn:
        world.engine.sweeper.take_back(conn, seen)
    assert world.tasks(job)[0].attempt == holder.attempt
    assert world.statuses(job) == ["processing"]


def test_a_task_whose_worker_lives_is_not_taken_back(world: World) -> None:
    job = world.started(1)
    world.claim(job)
    world.sweep()
    assert world.statuses(job) == ["processing"]


def test_a_task_that_was_taken_back_runs_again(world: World) -> None:
    job = world.started(1)
    world.expire(world.claim(job).task.task_id)
    world.lose_messages()
    world.sweep()
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED
    assert world.tasks(job)[0].attempt == 2


def test_the_first_sweep_after_an_outage_takes_nothing_back(world: World) -> None:
    job = world.started(1)
    world.expire(world.claim(job).task.task_id)
    world.sql("UPDATE app.sweep SET swept_at = clock_timestamp() - interval '76 s'")
    assert world.engine.sweeper.sweep(period_seconds=10)
    assert world.statuses(job) == ["processing"]
    world.sweep()
    assert world.statuses(job) == ["queued"]


def test_one_row_that_cannot_be_healed_does_not_stop_the_sweep(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.started(5)
    claims = [world.claim(job, number).task for number in range(1, 6)]
    world.expire(*(task.task_id for task in claims))
    real = sweep.take_back_task

    def take_back(conn: Any, task: Any, *args: Any, **kwargs: Any) -> Any:
        if task.task_index in (1, 3):
            raise RuntimeError("this row is cursed")
        return real(conn, task, *args, **kwargs)

    monkeypatch.setattr(sweep, "take_back_task", take_back)
    world.lose_messages()
    world.sweep()
    assert world.statuses(job) == ["processing", "queued", "processing", "queued", "queued"]
    assert len(world.drain()) == 3


@pytest.mark.parametrize("step", ["due_jobs", "expired_tasks", "due_tasks", "overdue_jobs", "stalled_jobs"])
def test_one_step_that_fails_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unavailable("away")

    claimed, _ = world.started(1), world.started(1)
    task = world.claim(claimed).task
    world.submit_shape(1)
    world.lose_messages()
    world.all_due()
    world.expire(task.task_id)
    monkeypatch.setattr(sweep, step, fail)
    world.sweep()
    sent = {queue for queue, _ in world.drain()}
    assert sent == {"geo-jobs", "geo-light-tasks"} - ({"geo-jobs"} if step == "due_jobs" else set())


def test_a_queue_that_is_down_during_the_sweep_costs_no_resend(world: World) -> None:
    world.started(3)
    world.submit_shape(1)
    world.lose_messages()
    world.all_due()
    world.queues.down = True
    for _ in range(4):
        world.sweep()
    world.queues.down = False
    world.sweep()
    assert len(world.drain()) == 4


def test_nothing_is_sent_again_while_the_queue_holds_a_message_for_each_open_task(world: World) -> None:
    world.started(5)
    world.all_due()
    world.sweep()
    assert len(world.drain()) == 5


def test_messages_that_a_dead_worker_had_received_are_sent_again(world: World) -> None:
    world.started(5)
    world.all_due()
    world.queues.all_hidden = True
    world.sweep()
    assert len(world.drain()) == 10


def test_a_row_that_has_waited_long_is_sent_again_also_when_the_queue_is_long(world: World) -> None:
    world.started(30)
    world.all_due()
    world.sql("UPDATE app.tasks SET updated_at = clock_timestamp() - interval '16 minutes'")
    world.sweep()
    assert len(world.drain()) == 50


def test_a_started_job_without_an_open_task_is_healed(world: World) -> None:
    job = world.started(1, 1)
    world.lose_messages()
    world.sql("""UPDATE app.tasks SET status = 'completed', result = '{}', finished_at = clock_timestamp(),
                 lease_until = NULL""")
    world.sweep()
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_job_past_its_deadline_fails_and_says_so(world: World) -> None:
    running, waiting = world.started(2), world.submit_shape(1)
    world.claim(running)
    world.sql("UPDATE app.jobs SET deadline_at = clock_timestamp() - interval '1 s'")
    world.sweep()
    for job in (running, waiting):
        error = world.job(job).error
        assert error is not None
        assert error["code"] == "job_overdue"
    assert world.statuses(running) == ["cancelled", "cancelled"]


def test_any_worker_carries_the_sweep_when_the_timer_is_silent(world: World) -> None:
    lost = world.started(1)
    world.expire(world.claim(lost).task.task_id)
    world.lose_messages()
    world.sql("UPDATE app.sweep SET swept_at = clock_timestamp() - interval '50 s'")
    other = world.started(1)
    world.run_task(world.tasks(other)[0])
    assert world.statuses(lost) == ["queued"]


def test_a_sweep_that_fails_is_not_the_failure_of_the_task_that_carried_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(sweep, "begin_sweep", fail)
    job = world.started(1)
    world.run_task(world.tasks(job)[0])
    assert world.statuses(job) == ["completed"]


def test_the_sweep_fails_a_task_whose_controller_breaks_on_it_only_for_that_job(world: World) -> None:
    cursed, healthy = world.started(1, on_failure="finish_all"), world.started(1)

    def bug(_: object) -> Any:
        raise PermanentError("bug\0")

    world.controllers[cursed.job_type].aggregate = bug  # type: ignore[attr-defined]
    tasks = [world.claim(job).task for job in (cursed, healthy)]
    world.sql("UPDATE app.tasks SET deaths = max_deaths - 1 WHERE job_id = %s", [cursed.job_id])
    world.expire(*(task.task_id for task in tasks))
    world.sweep()
    assert world.tasks(cursed)[0].status is TaskStatus.FAILED
    assert world.job(cursed).status is JobStatus.FAILED
    assert world.statuses(healthy) == ["queued"]
