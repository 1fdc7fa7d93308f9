"""The database refuses states that the protocol does not know."""

import psycopg
import pytest

from tests.integration.protocol.world import World

ILLEGAL_JOBS = {
    "a job that ended has a time of its end": "status = 'cancelled'",
    "an open job has no time of its end": "finished_at = clock_timestamp()",
    "a queued job was not started": "status = 'queued'",
    "a failed job says why": "status = 'failed', finished_at = clock_timestamp()",
    "a completed job has a result": "status = 'completed', finished_at = clock_timestamp()",
    "a job with errors has a result": "status = 'completed_with_errors', finished_at = clock_timestamp()",
    "an open job has its work area": "work_area = 'gone'",
    "the current stage is one of the job's": "current_stage_n = 3",
    "the current stage is counted from 1": "current_stage_n = 0",
    "a stage has no negative number of tasks": "stage_tasks = -1",
    "history is a list": "stage_history = '{}'",
    "parameters are an object": "parameters = '[]'",
    "a job id is 32 hex digits": "job_id = 'x'",
    "there is no other state": "status = 'paused'",
}
ILLEGAL_TASKS = {
    "a running task has a lease": "lease_until = NULL",
    "a task that waits has no lease": "status = 'queued'",
    "a task that ended has a time of its end": "status = 'failed', error = '{}', lease_until = NULL",
    "an open task has no time of its end": "finished_at = clock_timestamp()",
    "a failed task says why": "status = 'failed', lease_until = NULL, finished_at = clock_timestamp()",
    "a completed task has a result": "status = 'completed', lease_until = NULL, finished_at = clock_timestamp()",
    "tries do not exceed the budget": "tries = max_tries + 1",
    "tries are not negative": "tries = -1",
    "deaths do not exceed the budget": "deaths = max_deaths + 1",
    "an attempt is not negative": "attempt = -1",
    "a task belongs to a job": f"job_id = '{'0' * 32}'",
    "an index is there once": "task_index = 2",
}


@pytest.mark.parametrize("change", ILLEGAL_JOBS.values(), ids=list(ILLEGAL_JOBS))
def test_an_illegal_job_is_refused(world: World, change: str) -> None:
    world.started(1, 1)
    with pytest.raises((psycopg.IntegrityError, psycopg.DataError)):
        world.sql(f"UPDATE app.jobs SET {change}")


@pytest.mark.parametrize("change", ILLEGAL_TASKS.values(), ids=list(ILLEGAL_TASKS))
def test_an_illegal_task_is_refused(world: World, change: str) -> None:
    job = world.started(2)
    task_id = world.claim(job).task.task_id
    with pytest.raises((psycopg.IntegrityError, psycopg.DataError)):
        world.sql(f"UPDATE app.tasks SET {change} WHERE task_id = %s", [task_id])


def test_two_live_jobs_for_the_same_work_are_refused(world: World) -> None:
    world.submit_shape(1)
    world.submit_shape(1)
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.sql("UPDATE app.jobs SET dedup_key = 'same'")


def test_there_is_one_row_of_the_sweep(world: World) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        world.sql("INSERT INTO app.sweep (swept_at) VALUES (clock_timestamp())")
    with pytest.raises(psycopg.errors.CheckViolation):
        world.sql("INSERT INTO app.sweep (only_row, swept_at) VALUES (false, clock_timestamp())")
