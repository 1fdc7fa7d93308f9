"""Tasks: their rows, and what they add up to. Each function runs one statement of tasks.sql on the given connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from repositories.jobs.rows import jsonb, optional_job, optional_task, task_of
from repositories.postgres import Connection, Statements
from schema.jobs import Job, Json, Source, Task, TaskResult, TaskSpec, TaskStatus, task_id_of

_sql = Statements("jobs/tasks")
_jobs_sql = Statements("jobs/jobs")


@dataclass(frozen=True)
class StageSummary:
    """An ended stage, measured from its first task's start to its last one's end."""

    task_count: int
    failed: int
    unfinished: int
    completed_at: datetime
    duration_seconds: float


@dataclass(frozen=True)
class Claim:
    """A task that this worker holds, with what it needs of its job."""

    task: Task
    source: Source | None
    traceparent: str | None
    stage: str


@dataclass(frozen=True)
class WakeUp:
    """A message that is due for a task."""

    task_id: str
    queue: str
    late: bool = False


def start_stage(
    conn: Connection,
    job: Job,
    specs: Sequence[TaskSpec],
    *,
    queue: str,
    max_tries: int,
    max_deaths: int,
    resend_after: timedelta,
) -> list[WakeUp] | None:
    """Insert all tasks of the current stage; None when the stage was started already or is not current.

    The caller holds the job's lock.
    """
    # The stage is marked before its tasks are inserted: a second start finds the mark and inserts nothing.
    stage_n = job.current_stage_n
    if not _sql.run(conn, "start_stage", job_id=job.job_id, stage_n=stage_n, stage_tasks=len(specs)):
        return None
    indexes = range(1, len(specs) + 1)
    task_ids = [task_id_of(job.job_id, stage_n, index) for index in indexes]
    _sql.run(
        conn,
        "insert_tasks",
        job_id=job.job_id,
        stage_n=stage_n,
        queue=queue,
        task_ids=task_ids,
        task_indexes=list(indexes),
        task_types=[spec.task_type for spec in specs],
        parameters=[jsonb(spec.parameters) for spec in specs],
        max_tries=max_tries,
        max_deaths=max_deaths,
        resend_after=resend_after,
    )
    return [WakeUp(task_id, queue) for task_id in task_ids]


def list_tasks(conn: Connection, job_id: str, *, after: tuple[int, int], limit: int) -> list[Task]:
    """List a job's tasks in order, behind (stage_n, task_index)."""
    rows = _sql.rows(conn, "list_tasks", job_id=job_id, stage_n=after[0], task_index=after[1], limit=limit)
    return [task_of(row) for row in rows]


def unfinished_tasks(conn: Connection, job_id: str, stage_n: int) -> tuple[list[Task], datetime]:
    """List the open and the failed tasks of a stage, with the database's time."""
    # Leases and times of resends are the database's; a worker's clock may be off by minutes.
    clock = _sql.first(conn, "database_time")
    assert clock is not None
    tasks = [task_of(row) for row in _sql.rows(conn, "unfinished_tasks", job_id=job_id, stage_n=stage_n)]
    return tasks, clock["asked_at"]


def count_tasks(conn: Connection, job_ids: Sequence[str]) -> dict[str, dict[int, dict[str, int]]]:
    """Count tasks by job, stage and status."""
    counts: dict[str, dict[int, dict[str, int]]] = {job_id: {} for job_id in job_ids}
    for row in _sql.rows(conn, "count_tasks", job_ids=list(job_ids)):
        counts[row["job_id"]].setdefault(row["stage_n"], {})[row["status"]] = row["tasks"]
    return counts


def get_task(conn: Connection, task_id: str) -> Task | None:
    return optional_task(_sql.first(conn, "get_task", task_id=task_id))


def queued_tasks(conn: Connection, job_id: str, stage_n: int) -> list[WakeUp]:
    """List the tasks of a stage that wait for a worker."""
    return [WakeUp(**row) for row in _sql.rows(conn, "queued_tasks", job_id=job_id, stage_n=stage_n)]


def still_queued(conn: Connection, task_ids: Sequence[str]) -> list[WakeUp]:
    """Return those of some tasks that still wait for a worker."""
    return [WakeUp(**row) for row in _sql.rows(conn, "still_queued", task_ids=list(task_ids))]


def stage_results(conn: Connection, job_id: str, stage_n: int) -> list[TaskResult]:
    """Read what the tasks of a stage left, in order."""
    rows = _sql.rows(conn, "stage_results", job_id=job_id, stage_n=stage_n)
    return [TaskResult(**{**row, "status": TaskStatus(row["status"])}) for row in rows]


def stage_has_ended(conn: Connection, job_id: str, stage_n: int) -> bool:
    """Whether a stage has no open task; the caller holds the job's lock."""
    # Under the lock: of two tasks that finish last at once, both or neither would otherwise see an open task.
    return _sql.first(conn, "look_for_open_task", job_id=job_id, stage_n=stage_n) is None


def stage_summary(conn: Connection, job_id: str, stage_n: int) -> StageSummary:
    """Sum up an ended stage."""
    row = _sql.first(conn, "stage_summary", job_id=job_id, stage_n=stage_n)
    assert row is not None
    return StageSummary(**row)


def claim_task(conn: Connection, task_id: str, *, lease: timedelta, deadline: timedelta) -> Claim | None:
    """Claim a task for this worker under a lease; None when another worker has it, or it has ended."""
    return _claim(conn, sql.Placeholder("task_id"), task_id=task_id, lease=lease, deadline=deadline)


def claim_next_task(
    conn: Connection, queue: str, served_job: str, *, lease: timedelta, deadline: timedelta
) -> Claim | None:
    """Claim a waiting task of a queue: of the job after the one that this worker served last, round robin by job."""
    # Chosen and claimed in one statement, since another worker looks at the same rows.
    return _claim(conn, _sql["next_task"], queue=queue, served_job=served_job, lease=lease, deadline=deadline)


def renew_leases(conn: Connection, held: Mapping[str, int], *, lease: timedelta) -> set[str]:
    """Renew the leases of tasks held under these attempts; return the ids of those that are no longer this worker's."""
    renewed = _sql.rows(conn, "renew_leases", task_ids=list(held), attempts=list(held.values()), lease=lease)
    # A row that another transaction has locked is skipped: most often by this worker's own finish.
    skipped = {key: held[key] for key in held.keys() - {row["task_id"] for row in renewed}}
    if not skipped:
        return set()
    kept = _sql.rows(conn, "still_held", task_ids=list(skipped), attempts=list(skipped.values()))
    return skipped.keys() - {row["task_id"] for row in kept}


def finish_task_unless_last(conn: Connection, task: Task, result: Json) -> bool:
    """Complete a task in one round trip, if its fence holds and other tasks of its stage are open."""
    fence = {"task_id": task.task_id, "attempt": task.attempt, "job_id": task.job_id, "stage_n": task.stage_n}
    row = _sql.first(conn, "finish_task_unless_last", **fence, result=jsonb(result))
    assert row is not None
    finished: bool = row["finished"]
    return finished


def finish_task(conn: Connection, task: Task, result: Json) -> tuple[Job | None, bool, bool]:
    """Lock the job, complete the task behind its fence, look for open tasks: three statements in one round trip.

    Returns the locked job, whether the fence held, and whether the stage has ended.
    """
    fence = {"task_id": task.task_id, "attempt": task.attempt, "job_id": task.job_id, "stage_n": task.stage_n}
    # A pipeline: the job is locked for one round trip of the client and not for three.
    with conn.pipeline():
        job = _jobs_sql.execute(conn, "lock_job", fence)
        done = _sql.execute(conn, "complete_task", {**fence, "result": jsonb(result)})
        open_task = _sql.execute(conn, "look_for_open_task", fence)
    return optional_job(job.fetchone()), done.fetchone() is not None, open_task.fetchone() is None


def requeue_task(
    conn: Connection, task: Task, error: Json, *, backoff: timedelta, resend_after: timedelta
) -> Task | None:
    """Requeue a task after an error; None when its fence broke or its tries are used up."""
    return optional_task(
        _sql.first(
            conn,
            "requeue_task",
            task_id=task.task_id,
            attempt=task.attempt,
            error=jsonb(error),
            backoff=backoff,
            resend_after=resend_after,
        )
    )


def fail_task(conn: Connection, task: Task, error: Json, *, expired: bool = False) -> Task | None:
    """Fail a task for good; None when its fence broke. `expired`: only if its lease ran out and its deaths are used up.

    The caller holds the job's lock.
    """
    statement = "fail_expired_task" if expired else "fail_task"
    return optional_task(_sql.first(conn, statement, task_id=task.task_id, attempt=task.attempt, error=jsonb(error)))


def retry_tasks(conn: Connection, job: Job, *, resend_after: timedelta) -> list[WakeUp]:
    """Requeue the tasks of the current stage that are not completed; the caller holds the job's lock."""
    rows = _sql.rows(conn, "retry_tasks", job_id=job.job_id, stage_n=job.current_stage_n, resend_after=resend_after)
    return [WakeUp(**row) for row in rows]


def resend_tasks_now(conn: Connection, task_ids: Sequence[str]) -> None:
    """Leave messages of tasks to the next sweep."""
    _sql.run(conn, "resend_tasks_now", task_ids=list(task_ids))


def _claim(conn: Connection, chosen: sql.Composable, **params: Any) -> Claim | None:
    row = conn.execute(_sql["claim_task"].format(chosen=chosen), params).fetchone()
    if row is None:
        return None
    source, traceparent, stage = row.pop("job_source"), row.pop("job_traceparent"), row.pop("job_stage")
    return Claim(task_of(row), Source(**source) if source else None, traceparent, stage)
