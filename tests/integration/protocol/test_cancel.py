"""Cancel: nothing of the job commits afterwards."""

import threading

import pytest

from schema.errors import Conflict, NotFound, PermanentError
from schema.jobs import JobStatus, Json
from services.context import TaskContext
from tests.fixtures.waiting import at_once, eventually
from tests.integration.protocol.world import World, broken, leave_effect


def test_cancel_ends_queued_and_running_tasks(world: World) -> None:
    job = world.started(3)
    world.claim(job, 1)
    world.execute(world.claim(job, 2))
    assert world.engine.cancel(job.job_id).status is JobStatus.CANCELLED
    assert world.statuses(job) == ["cancelled", "completed", "cancelled"]


def test_a_running_handler_cannot_commit_after_cancel(world: World) -> None:
    job = world.started(1)
    claim = world.claim(job)
    world.engine.cancel(job.job_id)
    world.execute(claim)
    assert world.effects(job) == []
    assert world.job(job).status is JobStatus.CANCELLED


def test_a_running_handler_cannot_fail_its_task_after_cancel(world: World) -> None:
    job = world.started(1)
    claim = world.claim(job)
    world.engine.cancel(job.job_id)
    world.handlers["work"] = broken
    world.execute(claim)
    assert world.statuses(job) == ["cancelled"]


def test_cancel_waits_for_a_finish_that_came_first(world: World) -> None:
    job = world.started(2)
    claim = world.claim(job)
    with world.locked_job(job) as conn:
        cancel = threading.Thread(target=world.engine.cancel, args=[job.job_id])
        cancel.start()
        eventually(lambda: waiting(world))
        world.engine.transitions.finish(conn, claim.task, {})
    cancel.join(20)
    assert world.statuses(job) == ["completed", "cancelled"]


def test_cancel_ends_the_tasks_of_a_stage_whose_start_it_waited_for(world: World) -> None:
    job = world.submit_shape(3)
    with world.locked_job(job):
        start = threading.Thread(target=world.start, args=[job])
        start.start()
        eventually(lambda: waiting(world))
        cancel = threading.Thread(target=world.engine.cancel, args=[job.job_id])
        cancel.start()
        eventually(lambda: waiting(world) == 2)
    start.join(20)
    cancel.join(20)
    assert set(world.statuses(job)) <= {"cancelled"}


def test_a_queued_job_is_cancelled_and_its_message_does_nothing(world: World) -> None:
    job = world.submit_shape(3)
    world.engine.cancel(job.job_id)
    world.run_all()
    assert world.statuses(job) == []


def test_cancel_of_a_cancelled_job_is_no_error(world: World) -> None:
    job = world.submit_shape(1)
    first = world.engine.cancel(job.job_id)
    assert world.engine.cancel(job.job_id).finished_at == first.finished_at


@pytest.mark.parametrize("fails", [True, False])
def test_cancel_of_a_job_that_ended_otherwise_is_a_conflict(world: World, fails: bool) -> None:
    def work(_: TaskContext) -> Json:
        raise PermanentError("no")

    world.handlers["work"] = work if fails else leave_effect
    job = world.started(1)
    world.run_all()
    with pytest.raises(Conflict, match="has already ended"):
        world.engine.cancel(job.job_id)


@pytest.mark.parametrize("job_id", ["0" * 32, "nonsense", "", "0" * 31 + "\0"])
def test_cancel_of_an_unknown_job_is_not_found(world: World, job_id: str) -> None:
    with pytest.raises(NotFound):
        world.engine.cancel(job_id)


def test_a_handler_that_looks_notices_the_cancel(world: World) -> None:
    world.engine = world.new_engine(world.settings.model_copy(update={"heartbeat_seconds": 0.05}))
    job = world.started(1)
    looked, stopped = threading.Event(), threading.Event()

    def work(ctx: TaskContext) -> Json:
        looked.set()
        eventually(ctx.lost)
        stopped.set()
        ctx.check()
        return leave_effect(ctx)

    def cancel() -> None:
        assert looked.wait(20)
        world.engine.cancel(job.job_id)

    world.handlers["work"] = work
    at_once(lambda: world.run_task(world.tasks(job)[0]), cancel)
    assert stopped.is_set()
    assert world.effects(job) == []


def waiting(world: World) -> int:
    """How many connections wait for a lock."""
    statement = "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = 'protocol'"
    found: int = world.sql(statement)[0]["n"]
    return found
