"""Slots: a task that waits for one is not claimed."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from controllers.engine.slots import Slots
from schema.jobs import Job, JobStatus, Json
from schema.messages import TASK_QUEUES, TaskMessage
from services.context import TaskContext
from tests.integration.protocol.world import World, leave_effect
from tests.waiting import eventually


def hold(world: World, task_type: str) -> tuple[threading.Event, threading.Event]:
    """Have tasks of a type say that they run, and run until they are released."""
    running, release = threading.Event(), threading.Event()

    def work(_: TaskContext) -> Json:
        running.set()
        assert release.wait(20)
        return {}

    world.handlers[task_type] = work
    return running, release


def occupy(world: World) -> tuple[threading.Event, threading.Thread]:
    """A heavy task that runs until the event is set."""
    running, release = hold(world, "hold")
    job = world.started(1, queue="raster")
    world.sql("UPDATE app.tasks SET task_type = 'hold' WHERE job_id = %s", [job.job_id])
    message = world.drain()[-1]
    holder = threading.Thread(target=world.deliver, args=[message])
    holder.start()
    assert running.wait(20)
    return release, holder


def test_without_a_slot_the_message_is_sent_again_and_the_row_stays_queued(world: World) -> None:
    release, holder = occupy(world)
    job = world.started(1, queue="vector")
    message = world.drain()[-1]
    world.deliver(message)
    task = world.tasks(job)[0]
    assert (task.status, task.attempt, task.tries) == ("queued", 0, 0)
    assert world.queues.sent == [(TASK_QUEUES["vector"], 10)]
    release.set()
    holder.join(20)
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_task_of_the_job_that_has_the_slot_goes_back_soon_for_other_workers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("controllers.engine.runner.random.randint", lambda least, most: most - least)
    patient = world.new_engine(world.settings.model_copy(update={"slot_wait_seconds": 20}))
    running, release = hold(world, "work")
    job = world.started(2, queue="vector")
    first, second = (TaskMessage(task.task_id) for task in world.tasks(job))
    world.lose_messages()
    with ThreadPoolExecutor() as worker:
        turn = worker.submit(patient.run_task, first, "vector")
        assert running.wait(20)
        began = time.monotonic()
        patient.run_task(second, "vector")
        assert time.monotonic() - began < 10
        release.set()
        turn.result()
    assert world.queues.sent == [(TASK_QUEUES["vector"], 9)]
    assert world.job(job).status is JobStatus.COMPLETED


def test_light_tasks_need_no_slot(world: World) -> None:
    release, holder = occupy(world)
    job = world.started(1)
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED
    release.set()
    holder.join(20)


def test_a_slot_is_free_again_after_a_handler_that_failed(world: World) -> None:
    job = world.started(1, queue="vector")

    def once(ctx: TaskContext) -> Json:
        world.handlers["work"] = leave_effect
        raise ValueError(ctx.task.task_id)

    world.handlers["work"] = once
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_message_that_no_slot_was_free_for_and_no_queue_could_take_is_left_to_the_sweep(world: World) -> None:
    release, holder = occupy(world)
    job = world.started(1, queue="vector")
    message = world.drain()[-1]
    world.queues.down = True
    world.deliver(message)
    world.queues.down = False
    release.set()
    holder.join(20)
    world.sweep()
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_turn_ends_for_the_tasks_of_other_jobs_and_not_for_those_of_the_same(world: World) -> None:
    slots = Slots(world.settings.model_copy(update={"task_processes": 1}))

    def wait(task_id: str) -> bool:
        with slots.take(task_id, "vector", 20) as slot:
            return slot.free

    with ThreadPoolExecutor() as waiting:
        with slots.take("a-1-0001", "vector", 0) as slot:
            same = waiting.submit(wait, "a-1-0002")
            eventually(lambda: slots.waiting == {"a"})
            assert not slot.wanted()
            other = waiting.submit(wait, "b-1-0001")
            eventually(slot.wanted)
        assert same.result()
        assert other.result()
    assert not slots.waiting


def test_a_task_waits_on_where_its_job_lost_the_slot_to_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("controllers.engine.slots.SAME_JOB_SECONDS", 0.05)
    slots = Slots(world.settings.model_copy(update={"task_processes": 1}))
    release = threading.Event()

    def work(task_id: str) -> bool:
        with slots.take(task_id, "vector", 20) as slot:
            return slot.free and release.wait(20)

    with ThreadPoolExecutor() as worker:
        with slots.take("a-1-0001", "vector", 0):
            other = worker.submit(work, "b-1-0001")
            eventually(lambda: slots.waiting == {"b"})
        eventually(lambda: not slots.waiting)
        same = worker.submit(work, "a-1-0002")
        # Longer than a task waits whose own job has the slot.
        time.sleep(0.3)
        release.set()
        assert other.result()
        assert same.result()


def start_one(world: World, queue: str) -> Job:
    """A job whose start message was delivered; that of its task waits."""
    job = world.submit_shape(1, queue=queue)
    for message in world.drain():
        world.deliver(message)
    return world.job(job)


def test_a_worker_that_starts_a_stage_takes_its_first_task_itself(world: World) -> None:
    world.started(1, queue="vector")
    world.run_all()
    job = start_one(world, "vector")
    assert job.status is JobStatus.COMPLETED
    world.run_all()
    assert len(world.effects(job)) == 1


def test_a_worker_takes_no_task_of_a_queue_that_it_is_not_given(world: World) -> None:
    world.started(1, queue="raster")
    world.run_all()
    assert start_one(world, "vector").status is JobStatus.PROCESSING


def test_a_worker_without_a_free_slot_leaves_the_first_task_to_its_message(world: World) -> None:
    world.started(1, queue="vector")
    world.run_all()
    release, holder = occupy(world)
    job = start_one(world, "vector")
    assert world.tasks(job)[0].status == "queued"
    release.set()
    holder.join(20)
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED
