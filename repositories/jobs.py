"""Jobs and tasks: the rows of the protocol. Each function runs one statement of queries.sql on the given connection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from psycopg import errors, sql
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from repositories.postgres import Connection, load_queries
from schema.errors import Conflict
from schema.jobs import JOB_ID_PATTERN, Job, JobStatus, Json, Source, Task, TaskResult, TaskSpec, TaskStatus, task_id_of
from schema.jsonb import to_jsonb
from schema.settings import WORK_SCHEMA


@dataclass(frozen=True)
class NewJob:
    """A job that is about to be submitted."""

    job_id: str
    job_type: str
    parameters: Json
    source: Source | None
    stage_sequence: Mapping[str, str]
    dedup_key: str
    idempotency_key: str | None
    traceparent: str | None


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


def insert_job(conn: Connection, job: NewJob, *, resend_after: timedelta, deadline_after: timedelta) -> Job | None:
    """Submit a job; None when a live job does the same work, or the idempotency key is taken."""
    return _job(
        _first(
            conn,
            "insert_job",
            job_id=job.job_id,
            job_type=job.job_type,
            parameters=_jsonb(job.parameters),
            source=_jsonb(job.source.__dict__) if job.source else None,
            stages=len(job.stage_sequence),
            stage_sequence=_jsonb(dict(job.stage_sequence)),
            dedup_key=job.dedup_key,
            idempotency_key=job.idempotency_key,
            traceparent=job.traceparent,
            resend_after=resend_after,
            deadline_after=deadline_after,
        )
    )


def find_live_job(conn: Connection, dedup_key: str) -> Job | None:
    """Give the live job that does this work."""
    return _job(_first(conn, "find_live_job", dedup_key=dedup_key))


def find_job_by_key(conn: Connection, idempotency_key: str) -> Job | None:
    """Give the job that was accepted under a key within the last 24 hours, unless it ended badly."""
    _run(conn, "release_idempotency_key", idempotency_key=idempotency_key)
    return _job(_first(conn, "find_job_by_key", idempotency_key=idempotency_key))


def adopt_idempotency_key(conn: Connection, job_id: str, idempotency_key: str) -> None:
    """Let a live job answer to a key; nothing happens when either has found another partner meanwhile."""
    try:
        _run(conn, "adopt_idempotency_key", job_id=job_id, idempotency_key=idempotency_key)
    except errors.UniqueViolation:
        return


def get_job(conn: Connection, job_id: str) -> Job | None:
    """Give a job."""
    if not re.match(JOB_ID_PATTERN, job_id):
        return None
    return _job(_first(conn, "get_job", job_id=job_id))


def lock_job(conn: Connection, job_id: str) -> Job | None:
    """Lock a job's row until the transaction ends, and give it as it is under the lock."""
    if not re.match(JOB_ID_PATTERN, job_id):
        return None
    return _job(_first(conn, "lock_job", job_id=job_id))


def list_jobs(
    conn: Connection, *, status: str | None, job_type: str | None, before: str | None, limit: int
) -> list[Job]:
    """List jobs, newest first, older than the job `before`."""
    rows = _rows(conn, "list_jobs", status=status, job_type=job_type, before=before, limit=limit)
    return [_job_of(row) for row in rows]


def list_tasks(conn: Connection, job_id: str, *, after: tuple[int, int], limit: int) -> list[Task]:
    """List a job's tasks in order, behind (stage_n, task_index)."""
    rows = _rows(conn, "list_tasks", job_id=job_id, stage_n=after[0], task_index=after[1], limit=limit)
    return [_task_of(row) for row in rows]


def unfinished_tasks(conn: Connection, job_id: str, stage_n: int) -> tuple[list[Task], datetime]:
    """List the open and the failed tasks of a stage, with the database's time."""
    clock = _first(conn, "database_time")
    assert clock is not None
    tasks = [_task_of(row) for row in _rows(conn, "unfinished_tasks", job_id=job_id, stage_n=stage_n)]
    return tasks, clock["asked_at"]


def count_tasks(conn: Connection, job_ids: Sequence[str]) -> dict[str, dict[int, dict[str, int]]]:
    """Count tasks by job, stage and status."""
    counts: dict[str, dict[int, dict[str, int]]] = {job_id: {} for job_id in job_ids}
    for row in _rows(conn, "count_tasks", job_ids=list(job_ids)):
        counts[row["job_id"]].setdefault(row["stage_n"], {})[row["status"]] = row["tasks"]
    return counts


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
    stage_n = job.current_stage_n
    if not _run(conn, "start_stage", job_id=job.job_id, stage_n=stage_n, stage_tasks=len(specs)):
        return None
    indexes = range(1, len(specs) + 1)
    task_ids = [task_id_of(job.job_id, stage_n, index) for index in indexes]
    _run(
        conn,
        "insert_tasks",
        job_id=job.job_id,
        stage_n=stage_n,
        queue=queue,
        task_ids=task_ids,
        task_indexes=list(indexes),
        task_types=[spec.task_type for spec in specs],
        parameters=[_jsonb(spec.parameters) for spec in specs],
        max_tries=max_tries,
        max_deaths=max_deaths,
        resend_after=resend_after,
    )
    return [WakeUp(task_id, queue) for task_id in task_ids]


def count_start_failure(conn: Connection, job_id: str, stage_n: int) -> int | None:
    """Count a failed start of a stage; None when the stage is not current or was started."""
    row = _first(conn, "count_start_failure", job_id=job_id, stage_n=stage_n)
    return row["start_failures"] if row else None


def queued_tasks(conn: Connection, job_id: str, stage_n: int) -> list[WakeUp]:
    """List the tasks of a stage that wait for a worker."""
    return [WakeUp(**row) for row in _rows(conn, "queued_tasks", job_id=job_id, stage_n=stage_n)]


def stage_results(conn: Connection, job_id: str, stage_n: int) -> list[TaskResult]:
    """Read what the tasks of a stage left, in order."""
    rows = _rows(conn, "stage_results", job_id=job_id, stage_n=stage_n)
    return [TaskResult(**{**row, "status": TaskStatus(row["status"])}) for row in rows]


def claim_task(conn: Connection, task_id: str, *, lease: timedelta, deadline: timedelta) -> Claim | None:
    """Take a task for this worker under a lease; None when it is not to be had."""
    return _claim(conn, sql.Placeholder("task_id"), task_id=task_id, lease=lease, deadline=deadline)


def claim_next_task(conn: Connection, task: Task, *, lease: timedelta, deadline: timedelta) -> Claim | None:
    """Take the next task of the same stage that waits for a worker; None when there is none behind this one."""
    place = {"job_id": task.job_id, "stage_n": task.stage_n, "task_index": task.task_index}
    return _claim(conn, load_queries("queries")["next_task"], lease=lease, deadline=deadline, **place)


def held_claim(conn: Connection, task_id: str, attempt: int) -> Claim | None:
    """Give a claim again; None when it is no longer held."""
    return _claim_of(_first(conn, "held_claim", task_id=task_id, attempt=attempt))


def still_queued(conn: Connection, task_ids: Sequence[str]) -> list[WakeUp]:
    """Give those of some tasks that still wait for a worker."""
    return [WakeUp(**row) for row in _rows(conn, "still_queued", task_ids=list(task_ids))]


def get_task(conn: Connection, task_id: str) -> Task | None:
    """Give a task."""
    return _task(_first(conn, "get_task", task_id=task_id))


def renew_leases(conn: Connection, held: Mapping[str, int], *, lease: timedelta) -> set[str]:
    """Renew the leases of tasks held under these attempts; give the ids of those that are this worker's no more."""
    renewed = _rows(conn, "renew_leases", task_ids=list(held), attempts=list(held.values()), lease=lease)
    skipped = {key: held[key] for key in held.keys() - {row["task_id"] for row in renewed}}
    if not skipped:
        return set()
    kept = _rows(conn, "still_held", task_ids=list(skipped), attempts=list(skipped.values()))
    return skipped.keys() - {row["task_id"] for row in kept}


def finish_task_unless_last(conn: Connection, task: Task, result: Json) -> bool:
    """Complete a task in one round trip, if its fence holds and other tasks of its stage are open."""
    fence = {"task_id": task.task_id, "attempt": task.attempt, "job_id": task.job_id, "stage_n": task.stage_n}
    row = _first(conn, "finish_task_unless_last", **fence, result=_jsonb(result))
    assert row is not None
    finished: bool = row["finished"]
    return finished


def finish_task(conn: Connection, task: Task, result: Json) -> tuple[Job | None, bool, bool]:
    """Lock the job, complete the task behind its fence, look for open tasks: three statements in one round trip.

    Gives the locked job, whether the fence held, and whether the stage has ended.
    """
    fence = {"task_id": task.task_id, "attempt": task.attempt, "job_id": task.job_id, "stage_n": task.stage_n}
    with conn.pipeline():
        job = _execute(conn, "lock_job", fence)
        done = _execute(conn, "complete_task", {**fence, "result": _jsonb(result)})
        open_task = _execute(conn, "look_for_open_task", fence)
    return _job(job.fetchone()), done.fetchone() is not None, open_task.fetchone() is None


def stage_has_ended(conn: Connection, job_id: str, stage_n: int) -> bool:
    """Look whether a stage has no open task; the caller holds the job's lock."""
    return _first(conn, "look_for_open_task", job_id=job_id, stage_n=stage_n) is None


def stage_summary(conn: Connection, job_id: str, stage_n: int) -> StageSummary:
    """Sum up an ended stage."""
    row = _first(conn, "stage_summary", job_id=job_id, stage_n=stage_n)
    assert row is not None
    return StageSummary(**row)


def advance_job(conn: Connection, job: Job, *, stage_data: Json, entry: Json, resend_after: timedelta) -> Job | None:
    """Move a locked job to its next stage."""
    return _job(
        _first(
            conn,
            "advance_job",
            job_id=job.job_id,
            stage_n=job.current_stage_n,
            stage_data=_jsonb(stage_data),
            entry=_jsonb([entry]),
            resend_after=resend_after,
        )
    )


def end_job(
    conn: Connection,
    job_id: str,
    status: JobStatus,
    *,
    clear_after: timedelta,
    result_data: Json | None = None,
    warnings: Sequence[Json] = (),
    error: Json | None = None,
    history: Sequence[Json] = (),
) -> Job | None:
    """End a locked job and all of its open tasks; None when it had ended before."""
    ended = _job(
        _first(
            conn,
            "end_job",
            job_id=job_id,
            status=status,
            clear_after=clear_after,
            result_data=_jsonb(result_data) if result_data is not None else None,
            warnings=_jsonb(list(warnings)),
            error=_jsonb(error) if error is not None else None,
            history=_jsonb(list(history)),
        )
    )
    if ended:
        _run(conn, "cancel_open_tasks", job_id=job_id)
    return ended


def requeue_task(
    conn: Connection, task: Task, error: Json, *, backoff: timedelta, resend_after: timedelta
) -> Task | None:
    """Put a task back after an error; None when its fence broke or its tries are used up."""
    return _task(
        _first(
            conn,
            "requeue_task",
            task_id=task.task_id,
            attempt=task.attempt,
            error=_jsonb(error),
            backoff=backoff,
            resend_after=resend_after,
        )
    )


def fail_task(conn: Connection, task: Task, error: Json, *, expired: bool = False) -> Task | None:
    """Fail a task for good; None when its fence broke. `expired`: only if its lease ran out and its deaths are used up.

    The caller holds the job's lock.
    """
    statement = "fail_expired_task" if expired else "fail_task"
    return _task(_first(conn, statement, task_id=task.task_id, attempt=task.attempt, error=_jsonb(error)))


def retry_tasks(conn: Connection, job: Job, *, resend_after: timedelta) -> list[WakeUp]:
    """Put back all of the current stage that is not completed; the caller holds the job's lock."""
    rows = _rows(conn, "retry_tasks", job_id=job.job_id, stage_n=job.current_stage_n, resend_after=resend_after)
    return [WakeUp(**row) for row in rows]


def reopen_job(
    conn: Connection, job: Job, *, progress_floor: int, resend_after: timedelta, deadline_after: timedelta
) -> Job | None:
    """Open a failed job again; None when its work area is gone. Raises Conflict when a live job does the same work."""
    history = [entry for entry in job.stage_history if entry["stage_n"] < job.current_stage_n]
    try:
        with conn.transaction():
            return _job(
                _first(
                    conn,
                    "reopen_job",
                    job_id=job.job_id,
                    stage_history=_jsonb(history),
                    progress_floor=progress_floor,
                    resend_after=resend_after,
                    deadline_after=deadline_after,
                )
            )
    except errors.UniqueViolation as exc:
        holder = find_live_job(conn, job.dedup_key)
        raise Conflict(
            f"{f'Job {holder.job_id}' if holder else 'Another job'} does the work of job {job.job_id} already.",
            remediation="Follow that job; GET /api/jobs lists it.",
            code="same_work",
        ) from exc


def resend_job_now(conn: Connection, job_id: str) -> None:
    """Leave a job's message to the next sweep."""
    _run(conn, "resend_job_now", job_id=job_id)


def resend_tasks_now(conn: Connection, task_ids: Sequence[str]) -> None:
    """Leave messages of tasks to the next sweep."""
    _run(conn, "resend_tasks_now", task_ids=list(task_ids))


def begin_sweep(conn: Connection, *, period: timedelta) -> float | None:
    """Take the sweep for this process; gives the seconds since the one before, or None when it is not due."""
    row = _first(conn, "begin_sweep", period=period)
    return row["idle"] if row else None


def sweep_age(conn: Connection) -> float:
    """Give the seconds since the last sweep."""
    row = _first(conn, "sweep_age")
    return float(row["age"]) if row else float("inf")


def due_jobs(conn: Connection, *, resend_after: timedelta, limit: int) -> list[tuple[str, int]]:
    """List (job_id, stage_n) of jobs whose message is due again, and move their next time on."""
    rows = _rows(conn, "due_jobs", resend_after=resend_after, limit=limit)
    return [(row["job_id"], row["current_stage_n"]) for row in rows]


def due_tasks(conn: Connection, *, resend_after: timedelta, limit: int) -> list[WakeUp]:
    """List tasks whose message is due again, and move their next time on."""
    return [WakeUp(**row) for row in _rows(conn, "due_tasks", resend_after=resend_after, limit=limit)]


def open_tasks_by_queue(conn: Connection) -> dict[str, int]:
    """Count queued and running tasks by kind of queue."""
    return {row["queue"]: row["tasks"] for row in _rows(conn, "open_tasks_by_queue")}


def expired_tasks(conn: Connection, *, limit: int) -> list[Task]:
    """List running tasks whose lease ran out."""
    return [_task_of(row) for row in _rows(conn, "expired_tasks", limit=limit)]


def take_back_task(conn: Connection, task: Task, error: Json, *, resend_after: timedelta) -> Task | None:
    """Put a task back whose worker is gone; None when it was claimed anew, ended, or its deaths are used up."""
    return _task(
        _first(
            conn,
            "take_back_task",
            task_id=task.task_id,
            attempt=task.attempt,
            error=_jsonb(error),
            resend_after=resend_after,
        )
    )


def overdue_jobs(conn: Connection, *, limit: int) -> list[Job]:
    """List open jobs past their deadline."""
    return [_job_of(row) for row in _rows(conn, "overdue_jobs", limit=limit)]


def stalled_jobs(conn: Connection, *, limit: int) -> list[str]:
    """List started jobs without an open task; there should never be one."""
    return [row["job_id"] for row in _rows(conn, "stalled_jobs", limit=limit)]


def clearable_jobs(conn: Connection, *, limit: int) -> list[str]:
    """List ended jobs whose work area is to be cleared."""
    return [row["job_id"] for row in _rows(conn, "clearable_jobs", limit=limit)]


def begin_clearing(conn: Connection, job_id: str) -> Literal["first", "last"] | None:
    """Mark a work area as gone, before anything of it is deleted, for the first or last time; None: it is not due."""
    row = _first(conn, "begin_clearing", job_id=job_id)
    if row is None:
        return None
    return "first" if row["work_area"] == "kept" else "last"


def end_clearing(conn: Connection, job_id: str) -> None:
    """Note that nothing of a work area is left to delete."""
    _run(conn, "end_clearing", job_id=job_id)


def drop_work_tables(conn: Connection, job_id: str) -> int:
    """Drop a job's tables in the work schema and say how many."""
    _run(conn, "wait_briefly")
    rows = _rows(conn, "work_tables", schema=WORK_SCHEMA, prefix=f"s_{job_id}")
    for row in rows:
        table = sql.Identifier(WORK_SCHEMA, row["relname"])
        conn.execute(load_queries("queries")["drop_work_table"].format(table=table))
    return len(rows)


def offload_result(conn: Connection, job_id: str, result_data: Json) -> None:
    """Put a reference in the place of a result that went to a blob."""
    _run(conn, "offload_result", job_id=job_id, result_data=_jsonb(result_data))


def applied_migrations(conn: Connection) -> list[str]:
    """List the migrations that the database has."""
    return [row["name"] for row in _rows(conn, "applied_migrations")]


def _claim(conn: Connection, chosen: sql.Composable, **params: Any) -> Claim | None:
    statement = load_queries("queries")["claim_task"].format(chosen=chosen)
    return _claim_of(conn.execute(statement, params).fetchone())


def _claim_of(row: DictRow | None) -> Claim | None:
    if row is None:
        return None
    source, traceparent, stage = row.pop("job_source"), row.pop("job_traceparent"), row.pop("job_stage")
    return Claim(_task_of(row), Source(**source) if source else None, traceparent, stage)


def _jsonb(value: Any) -> Jsonb:
    return Jsonb(value, dumps=to_jsonb)


def _execute(conn: Connection, name: str, params: Mapping[str, Any]) -> Any:
    return conn.execute(load_queries("queries")[name], params)


def _first(conn: Connection, name: str, **params: Any) -> DictRow | None:
    row: DictRow | None = _execute(conn, name, params).fetchone()
    return row


def _rows(conn: Connection, name: str, **params: Any) -> list[DictRow]:
    rows: list[DictRow] = _execute(conn, name, params).fetchall()
    return rows


def _run(conn: Connection, name: str, **params: Any) -> int:
    count: int = _execute(conn, name, params).rowcount
    return count


def _job_of(row: DictRow) -> Job:
    return Job(**{**row, "status": JobStatus(row["status"])})


def _task_of(row: DictRow) -> Task:
    return Task(**{**row, "status": TaskStatus(row["status"])})


def _job(row: DictRow | None) -> Job | None:
    return _job_of(row) if row else None


def _task(row: DictRow | None) -> Task | None:
    return _task_of(row) if row else None
