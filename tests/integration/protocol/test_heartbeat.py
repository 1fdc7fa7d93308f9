"""Heartbeat: keeps leases, tells what was lost, never waits behind its own finish."""

import threading
from datetime import timedelta

import pytest

from controllers.engine.heartbeat import Heartbeat
from repositories.jobs import tasks
from schema.jobs import Job
from tests.fixtures.waiting import eventually
from tests.integration.protocol.world import World

LEASE = timedelta(seconds=60)


def lease_left(world: World, job: Job) -> float:
    left = "extract(epoch FROM lease_until - clock_timestamp())::float8 AS s"
    found: float = world.sql(
        f"SELECT {left} FROM app.tasks WHERE job_id = %s AND lease_until IS NOT NULL", [job.job_id]
    )[0]["s"]
    return found


def test_a_beat_renews_the_lease(world: World) -> None:
    job = world.started(1)
    task = world.claim(job, lease_seconds=5).task
    with world.engine.runner.heartbeat.hold(task) as lost:
        world.engine.runner.heartbeat.beat()
        assert not lost()
    assert 55 < lease_left(world, job) <= 60


def test_a_beat_renews_a_lease_that_ran_out_while_the_database_was_away(world: World) -> None:
    job = world.started(1)
    task = world.claim(job).task
    world.expire(task.task_id)
    with world.engine.runner.heartbeat.hold(task) as lost:
        world.engine.runner.heartbeat.beat()
        assert not lost()
    assert lease_left(world, job) > 55


def test_a_lease_ends_at_the_deadline_however_long_the_worker_beats(world: World) -> None:
    job = world.started(1)
    task = world.claim(job).task
    world.sql("UPDATE app.tasks SET deadline_at = clock_timestamp() + interval '2 s'")
    with world.engine.runner.heartbeat.hold(task):
        world.engine.runner.heartbeat.beat()
    assert lease_left(world, job) <= 2


@pytest.mark.parametrize("how", ["cancelled", "taken over", "taken back"])
def test_a_task_that_is_no_longer_this_workers_is_marked_as_lost(world: World, how: str) -> None:
    job = world.started(1)
    task = world.claim(job).task
    with world.engine.runner.heartbeat.hold(task) as lost:
        if how == "cancelled":
            world.engine.cancel(job.job_id)
        else:
            world.expire(task.task_id)
            world.sweep() if how == "taken back" else world.claim(job)
        world.engine.runner.heartbeat.beat()
        assert lost()


def test_a_lost_task_does_not_take_the_others_with_it(world: World) -> None:
    job, other = world.started(1), world.started(1)
    mine, theirs = world.claim(job).task, world.claim(other, lease_seconds=5).task
    world.engine.cancel(job.job_id)
    with world.engine.runner.heartbeat.hold(mine) as lost, world.engine.runner.heartbeat.hold(theirs) as other_lost:
        world.engine.runner.heartbeat.beat()
        assert (lost(), other_lost()) == (True, False)
    assert lease_left(world, other) > 55


def test_a_beat_does_not_wait_behind_the_finish_of_its_own_task(world: World) -> None:
    job = world.started(1, 1)
    task = world.claim(job).task
    with world.engine.runner.heartbeat.hold(task) as lost:
        with world.database.transaction() as conn:
            world.engine.transitions.finish(conn, task, {})
            world.engine.runner.heartbeat.beat()
            assert not lost()
        world.engine.runner.heartbeat.beat()
        assert not lost()


def test_a_worker_that_takes_its_own_task_over_tells_the_older_run(world: World) -> None:
    job = world.started(1)
    first = world.claim(job).task
    with world.engine.runner.heartbeat.hold(first) as lost:
        world.expire(first.task_id)
        second = world.claim(job).task
        with world.engine.runner.heartbeat.hold(second) as second_lost:
            world.engine.runner.heartbeat.beat()
            assert (lost(), second_lost()) == (True, False)


def test_a_task_is_lost_at_its_deadline(world: World) -> None:
    heartbeat = Heartbeat(world.database, world.settings.model_copy(update={"task_deadline_seconds": 0.05}))
    with heartbeat.hold(world.claim(world.started(1)).task) as lost:
        eventually(lost, 5)


@pytest.mark.parametrize("error", [RuntimeError("a bug"), OSError("no more files")])
def test_the_heartbeat_survives_whatever_a_beat_raises(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    heartbeat = Heartbeat(world.database, world.settings.model_copy(update={"heartbeat_seconds": 0.02}))
    beaten = threading.Event()
    calls = []

    def beat(_: Heartbeat) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise error
        beaten.set()

    monkeypatch.setattr(Heartbeat, "beat", beat)
    with heartbeat.hold(world.claim(world.started(1)).task):
        assert beaten.wait(5)


def test_leases_of_many_tasks_are_renewed_by_one_statement(world: World) -> None:
    job = world.started(50)
    held = {world.claim(job, number, lease_seconds=5).task.task_id: 1 for number in range(1, 51)}
    with world.database.connection() as conn:
        assert tasks.renew_leases(conn, held, lease=LEASE) == set()
    assert lease_left(world, job) > 55
