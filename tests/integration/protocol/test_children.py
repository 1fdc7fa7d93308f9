"""Child processes: whatever a handler does to its process is one failed try of one task."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from controllers.engine.child_pool import ChildDied, Children, TooManyMessages
from controllers.engine.engine import Engine
from repositories.postgres import Database, DatabaseUnavailable
from schema.jobs import Job, JobStatus, Stage, Task, TaskSpec
from schema.messages import TaskMessage
from schema.settings import POSTGRES_DSN_VARIABLE
from tests.fixtures.waiting import eventually
from tests.integration.protocol.misbehaving import BUILDER, JOB_TYPE, resolve
from tests.integration.protocol.world import Shape, World


class Misbehaving(Shape):
    def create_tasks(self, stage: Stage, job: Job, previous: object) -> list[TaskSpec]:
        del stage, previous
        return [TaskSpec("work", {"behaviour": name}) for name in job.parameters["dataset_id"].split("+")]


@pytest.fixture
def children(
    request: pytest.FixtureRequest, world: World, protocol_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Children]:
    """Children with little room and time; a test may give further arguments."""
    monkeypatch.setenv(POSTGRES_DSN_VARIABLE, protocol_dsn)
    settings = world.settings.model_copy(update={"task_memory_mb": 400, "task_deadline_seconds": 3})
    children = Children(settings, builder=BUILDER, **getattr(request, "param", {}))
    yield children
    children.close()


@pytest.fixture
def engine(world: World, children: Children) -> Engine:
    world.controllers[JOB_TYPE] = Misbehaving(JOB_TYPE, 1, queue="raster")
    hasty = world.settings.model_copy(update={"heartbeat_seconds": 0.1})
    parts = (world.database, world.queues, world.blobs, world.controllers, resolve)
    return Engine(hasty, *parts, children=children)


def run(world: World, engine: Engine, behaviours: str) -> Job:
    job = world.submit(world.controllers[JOB_TYPE], dataset_id=behaviours)
    world.start(job)
    while messages := list(world.queues.drain("geo-raster-tasks")):
        for message in messages:
            engine.run_task(TaskMessage.decode(message), "raster")
    return world.job(job)


@pytest.mark.parametrize("children", [{"grace_seconds": 1}], indirect=True, ids=["little grace"])
@pytest.mark.parametrize(
    ("behaviour", "said"),
    [("abort", "SIGABRT"), ("exit", "exited with code 3"), ("eat", "its limit is 400 MB"), ("hang", "deadline of 3 s")],
)
def test_a_child_that_dies_is_one_failed_try(
    world: World, engine: Engine, monkeypatch: pytest.MonkeyPatch, behaviour: str, said: str
) -> None:
    lines: list[str] = []
    monkeypatch.setattr("controllers.engine.log.event", lambda action, **say: lines.append(f"{action} {say}"))
    job = run(world, engine, f"{behaviour}+behave")
    assert job.status is JobStatus.COMPLETED
    first, second = world.tasks(job)
    assert (first.attempt, first.tries, first.deaths) == (2, 2, 0)
    assert (second.attempt, second.tries) == (1, 1), "the other task goes on"
    assert sorted(world.effects(job)) == [(first.task_id, 2), (second.task_id, 1)]
    assert any(line.startswith("requeue") and said in line for line in lines)


def test_a_task_that_dies_each_time_fails_with_what_happened(world: World, engine: Engine) -> None:
    job = run(world, engine, "always_abort")
    assert job.status is JobStatus.FAILED
    assert job.error is not None
    assert job.error["code"] == "process_died"
    assert "SIGABRT" in job.error["message"]
    assert job.error["retryable"]
    assert world.effects(job) == []


def test_a_child_serves_task_after_task(world: World, engine: Engine) -> None:
    job = run(world, engine, "behave+behave+behave")
    pids = {task.result["pid"] for task in world.tasks(job) if task.result}
    assert len(pids) == 1
    assert os.getpid() not in pids


def test_what_a_library_prints_is_not_taken_for_a_word(world: World, engine: Engine) -> None:
    assert run(world, engine, "print").status is JobStatus.COMPLETED


def test_a_child_that_dies_behind_its_commit_costs_the_job_neither_a_try_nor_the_next_stage(
    world: World, engine: Engine
) -> None:
    world.controllers[JOB_TYPE] = Misbehaving(JOB_TYPE, 1, 1, queue="raster")
    job = run(world, engine, "exit_afterwards")
    assert job.status is JobStatus.COMPLETED
    assert [(task.attempt, task.deaths) for stage_n in (1, 2) for task in world.tasks(job, stage_n)] == [(1, 0), (1, 0)]


def test_a_cancelled_task_stops_and_its_child_lives_on(world: World, engine: Engine, children: Children) -> None:
    job = world.submit(world.controllers[JOB_TYPE], dataset_id="wait")
    world.start(job)
    task = world.tasks(job)[0]
    worker = threading.Thread(target=engine.run_task, args=(TaskMessage(task.task_id), "raster"))
    worker.start()
    eventually(lambda: world.statuses(job) == ["processing"])
    engine.cancel(job.job_id)
    worker.join(10)
    assert not worker.is_alive()
    with children.take("raster") as child:
        assert child.tasks == 1
    assert world.effects(job) == []


def test_a_child_that_was_killed_while_idle_is_replaced(world: World, engine: Engine, children: Children) -> None:
    with children.take("raster") as child:
        killed = child.pid
    os.kill(killed, signal.SIGKILL)
    job = run(world, engine, "behave")
    assert job.status is JobStatus.COMPLETED
    assert _pid(world.tasks(job)[0]) != killed


def test_a_child_ends_with_its_parent(children: Children) -> None:
    with children.take("raster") as child:
        assert child._process.stdin is not None
        child._process.stdin.close()
        assert child._process.wait(10) == 1
        child._process.stdin = None


def test_a_child_that_cannot_start_leaves_the_task_alone(world: World) -> None:
    world.controllers[JOB_TYPE] = Misbehaving(JOB_TYPE, 1, queue="raster")
    broken = Children(world.settings, builder="tests.integration.protocol.nowhere:build")
    parts = (world.database, world.queues, world.blobs, world.controllers, resolve)
    engine = Engine(world.settings, *parts, children=broken)
    job = world.submit(world.controllers[JOB_TYPE], dataset_id="behave")
    world.start(job)
    with pytest.raises(ChildDied):
        engine.run_task(TaskMessage(world.tasks(job)[0].task_id), "raster")
    assert [(task.status, task.tries) for task in world.tasks(job)] == [("queued", 0)]


def test_a_queue_has_as_many_children_as_it_may_and_does_not_wait_for_one(
    world: World, engine: Engine, children: Children
) -> None:
    job = world.submit(world.controllers[JOB_TYPE], dataset_id="behave")
    world.start(job)
    message = TaskMessage(world.tasks(job)[0].task_id)
    with children.take("raster"), children.take("vector"):
        with pytest.raises(TooManyMessages, match="GEOSTAGE_TASK_PROCESSES") as refused:
            engine.run_task(message, "raster")
        assert "batchSize" in refused.value.remediation
        assert [(task.status, task.tries) for task in world.tasks(job)] == [("queued", 0)]
    engine.run_task(message, "raster")
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_database_that_is_away_costs_no_child(
    world: World, engine: Engine, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.submit(world.controllers[JOB_TYPE], dataset_id="behave")
    world.start(job)
    with children.take("raster") as child:
        pid = child.pid
    with monkeypatch.context() as away:
        away.setattr(engine.runner, "_database", Database("postgresql://127.0.0.1:9/nobody"))
        with pytest.raises(DatabaseUnavailable):
            engine.run_task(TaskMessage(world.tasks(job)[0].task_id), "raster")
    with children.take("raster") as child:
        assert child.pid == pid


def _pid(task: Task) -> int:
    assert task.result is not None
    return int(task.result["pid"])
