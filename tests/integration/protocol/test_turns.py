"""Turns: what a worker goes on with after a task, so that no job waits behind all of another's tasks."""

import threading
from concurrent.futures import ThreadPoolExecutor

from repositories.jobs import tasks
from schema.jobs import Job, JobStatus, Json, Stage, TaskSpec
from schema.messages import TASK_QUEUES, TaskMessage
from services.context import TaskContext
from tests.fixtures.waiting import eventually
from tests.integration.protocol.world import World


def note_order(world: World) -> list[str]:
    """The jobs whose tasks run, in their order."""
    served: list[str] = []

    def work(ctx: TaskContext) -> Json:
        served.append(ctx.job_id)
        return {}

    world.handlers["work"] = work
    return served


def deliver_first(world: World, job: Job) -> None:
    """Hand over the message of a job's first task alone; those of all others are lost."""
    world.lose_messages()
    task = world.tasks(job)[0]
    world.engine.run_task(TaskMessage(task.task_id), task.queue)


def test_a_worker_goes_round_the_jobs_that_wait_task_by_task(world: World) -> None:
    served = note_order(world)
    large, second, third = (world.started(size, queue="vector") for size in (4, 2, 1))
    deliver_first(world, second)
    turns = [second, third, large, second, large, large, large]
    assert served == [job.job_id for job in turns]
    assert {world.job(job).status for job in turns} == {JobStatus.COMPLETED}


def test_a_job_keeps_its_worker_over_the_end_of_a_stage(world: World) -> None:
    served = note_order(world)
    small = world.started(1, 1, 2, queue="vector")
    large = world.started(2, queue="vector")
    deliver_first(world, small)
    assert served == [job.job_id for job in (small, small, small, large, small, large)]


def test_a_stage_of_another_queue_is_started_and_left_to_that_queue(world: World) -> None:
    shape = world.shape(1, 2)
    shape.stages = (Stage("stage1", "light"), Stage("stage2", "vector"))  # type: ignore[misc]
    job = world.submit(shape)
    world.start(job)
    deliver_first(world, job)
    assert world.statuses(job) == ["queued", "queued"]
    assert [queue for queue, _ in world.drain()] == [TASK_QUEUES["vector"]] * 2


def test_a_worker_goes_on_with_its_own_queue_alone(world: World) -> None:
    other = world.started(1, queue="raster")
    job = world.started(1, queue="vector")
    deliver_first(world, job)
    assert world.job(job).status is JobStatus.COMPLETED
    assert world.statuses(other) == ["queued"]


def test_a_worker_does_not_go_on_with_a_task_in_its_backoff(world: World) -> None:
    waiting = world.started(1)
    world.sql("UPDATE app.tasks SET not_before = clock_timestamp() + interval '30 s'")
    deliver_first(world, world.started(1))
    assert world.statuses(waiting) == ["queued"]


def test_a_worker_passes_over_a_task_that_another_one_is_claiming(world: World) -> None:
    contested, free = world.started(1), world.started(1)
    with world.database.transaction() as conn:
        conn.execute("SELECT FROM app.tasks WHERE job_id = %s FOR NO KEY UPDATE", [contested.job_id])
        deliver_first(world, world.started(1))
    assert world.statuses(contested) == ["queued"]
    assert world.job(free).status is JobStatus.COMPLETED


def test_a_worker_whose_time_is_up_leaves_the_other_tasks_to_their_messages(world: World) -> None:
    job = world.started(3)
    world.lose_messages()
    world.engine.runner.process_task(world.tasks(job)[0].task_id, "light", go_on_seconds=0)
    assert world.statuses(job) == ["completed", "queued", "queued"]


def test_a_worker_that_starts_a_stage_sends_its_messages_and_runs_none_of_its_tasks(world: World) -> None:
    job = world.started(3, queue="vector")
    assert world.statuses(job) == ["queued"] * 3
    assert [queue for queue, _ in world.drain()] == [TASK_QUEUES["vector"]] * 3


def test_six_small_jobs_end_while_a_worker_is_busy_with_a_task_of_a_large_one(world: World) -> None:
    busy, release = threading.Event(), threading.Event()

    def long(_: TaskContext) -> Json:
        busy.set()
        assert release.wait(60)
        return {}

    world.handlers["long"] = long
    shape = world.shape(1, 5, queue="vector")
    shape.create = lambda stage, _: [TaskSpec("long")] if stage.name == "stage1" else [TaskSpec("work")] * 5
    large = world.submit(shape)
    world.start(large)
    other_worker = world.new_engine(world.settings)
    with ThreadPoolExecutor() as worker:
        turn = worker.submit(deliver_first, world, large)
        assert busy.wait(20)
        small = [world.started(1, 1, 1, queue="vector") for _ in range(6)]
        for queue, text in world.drain():
            assert queue == TASK_QUEUES["vector"]
            other_worker.run_task(TaskMessage.decode(text), "vector")
        assert [world.job(job).status for job in small] == [JobStatus.COMPLETED] * 6
        assert world.statuses(large) == ["processing"]
        release.set()
        turn.result(60)
    world.run_all()
    assert world.job(large).status is JobStatus.COMPLETED


def test_a_small_job_waits_for_one_task_of_a_large_one_where_there_is_one_worker(world: World) -> None:
    at_work, release = threading.Event(), threading.Event()
    served = note_order(world)
    work = world.handlers["work"]

    def waiting_for_the_test(ctx: TaskContext) -> Json:
        at_work.set()
        assert release.wait(60)
        return work(ctx)

    world.handlers["work"] = waiting_for_the_test
    large = world.started(5, queue="vector")
    with ThreadPoolExecutor() as worker:
        turn = worker.submit(deliver_first, world, large)
        assert at_work.wait(20)
        small = world.started(1, 1, queue="vector")
        release.set()
        turn.result(60)
    assert served == [job.job_id for job in (large, small, small, large, large, large, large)]


def test_the_next_task_is_found_by_an_index_among_many_of_another_queue(world: World) -> None:
    world.started(3000, queue="light")
    job = world.started(1, queue="vector")
    world.sql("ANALYZE app.tasks")
    chosen = tasks._sql["next_task"].as_string()
    plan = world.sql(
        f"EXPLAIN SELECT {chosen}".replace("%(queue)s", "'vector'").replace("%(served_job)s", f"'{job.job_id}'")
    )
    lines = [row["QUERY PLAN"] for row in plan]
    assert len([line for line in lines if "using tasks_waiting" in line]) == 2, lines


def test_a_failed_task_does_not_end_the_turn(world: World) -> None:
    def fail_the_first(ctx: TaskContext) -> Json:
        if ctx.task.task_index == 1 and ctx.task.attempt == 1:
            raise ValueError("unlucky")
        return {}

    world.handlers["work"] = fail_the_first
    job = world.started(3)
    deliver_first(world, job)
    eventually(lambda: world.job(job).status is JobStatus.COMPLETED)
