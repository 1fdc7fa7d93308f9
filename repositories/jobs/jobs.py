"""Jobs: their rows. Each function runs one statement of jobs.sql on the given connection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from psycopg import errors

from repositories.jobs.rows import job_of, jsonb, optional_job
from repositories.postgres import Connection, Statements
from schema.errors import Conflict
from schema.jobs import JOB_ID_PATTERN, Job, JobStatus, Json, Source

_sql = Statements("jobs/jobs")


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


def insert_job(conn: Connection, job: NewJob, *, resend_after: timedelta, deadline_after: timedelta) -> Job | None:
    """Submit a job; None when a live job does the same work, or the idempotency key is taken."""
    return optional_job(
        _sql.first(
            conn,
            "insert_job",
            job_id=job.job_id,
            job_type=job.job_type,
            parameters=jsonb(job.parameters),
            source=jsonb(job.source.__dict__) if job.source else None,
            stages=len(job.stage_sequence),
            stage_sequence=jsonb(dict(job.stage_sequence)),
            dedup_key=job.dedup_key,
            idempotency_key=job.idempotency_key,
            traceparent=job.traceparent,
            resend_after=resend_after,
            deadline_after=deadline_after,
        )
    )


def find_live_job(conn: Connection, dedup_key: str) -> Job | None:
    """Return the queued or running job that does this work."""
    return optional_job(_sql.first(conn, "find_live_job", dedup_key=dedup_key))


def find_job_by_key(conn: Connection, idempotency_key: str) -> Job | None:
    """Return the job that was accepted under a key within the last 24 hours, unless it failed or was cancelled."""
    # Released first, so that the unique index lets the same key name a new job.
    _sql.run(conn, "release_idempotency_key", idempotency_key=idempotency_key)
    return optional_job(_sql.first(conn, "find_job_by_key", idempotency_key=idempotency_key))


def adopt_idempotency_key(conn: Connection, job_id: str, idempotency_key: str) -> None:
    """Find a queued or running job by a key from now on, unless the job or the key got another partner meanwhile."""
    try:
        _sql.run(conn, "adopt_idempotency_key", job_id=job_id, idempotency_key=idempotency_key)
    # Another request gave the key to another job at the same time; that one answers the next request.
    except errors.UniqueViolation:
        return


def get_job(conn: Connection, job_id: str) -> Job | None:
    # The id is part of a URL, and may hold anything: a NUL, which PostgreSQL refuses, too.
    if not re.match(JOB_ID_PATTERN, job_id):
        return None
    return optional_job(_sql.first(conn, "get_job", job_id=job_id))


def lock_job(conn: Connection, job_id: str) -> Job | None:
    """Lock a job's row until the transaction ends, and return it as it is under the lock."""
    if not re.match(JOB_ID_PATTERN, job_id):
        return None
    return optional_job(_sql.first(conn, "lock_job", job_id=job_id))


def list_jobs(
    conn: Connection, *, status: str | None, job_type: str | None, before: str | None, limit: int
) -> list[Job]:
    """List jobs, newest first, older than the job `before`."""
    # Ids begin with the time (UUIDv7), so the primary key has this order.
    rows = _sql.rows(conn, "list_jobs", status=status, job_type=job_type, before=before, limit=limit)
    return [job_of(row) for row in rows]


def count_start_failure(conn: Connection, job_id: str, stage_n: int) -> int | None:
    """Count a failed start of a stage; None when the stage is not current or was started."""
    row = _sql.first(conn, "count_start_failure", job_id=job_id, stage_n=stage_n)
    return row["start_failures"] if row else None


def advance_job(conn: Connection, job: Job, *, stage_data: Json, entry: Json, resend_after: timedelta) -> Job | None:
    """Move a locked job to its next stage."""
    return optional_job(
        _sql.first(
            conn,
            "advance_job",
            job_id=job.job_id,
            stage_n=job.current_stage_n,
            stage_data=jsonb(stage_data),
            entry=jsonb([entry]),
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
    ended = optional_job(
        _sql.first(
            conn,
            "end_job",
            job_id=job_id,
            status=status,
            clear_after=clear_after,
            result_data=jsonb(result_data) if result_data is not None else None,
            warnings=jsonb(list(warnings)),
            error=jsonb(error) if error is not None else None,
            history=jsonb(list(history)),
        )
    )
    # After the job: whoever locks both locks the job first.
    if ended:
        _sql.run(conn, "cancel_open_tasks", job_id=job_id)
    return ended


def reopen_job(
    conn: Connection, job: Job, *, progress_floor: int, resend_after: timedelta, deadline_after: timedelta
) -> Job | None:
    """Open a failed job again; None when its work area is gone. Raises Conflict when a live job does the same work."""
    # The entry of the current stage is written again when that ends.
    history = [entry for entry in job.stage_history if entry["stage_n"] < job.current_stage_n]
    try:
        # A savepoint: after the violation the transaction goes on, to find the job that is in the way.
        with conn.transaction():
            return optional_job(
                _sql.first(
                    conn,
                    "reopen_job",
                    job_id=job.job_id,
                    stage_history=jsonb(history),
                    progress_floor=progress_floor,
                    resend_after=resend_after,
                    deadline_after=deadline_after,
                )
            )
    except errors.UniqueViolation as exc:
        holder = find_live_job(conn, job.dedup_key)
        raise Conflict(
            f"{f'Job {holder.job_id}' if holder else 'Another job'} is already doing the work of job {job.job_id}.",
            remediation="Follow that job; GET /api/jobs lists it.",
            code="same_work",
        ) from exc


def resend_job_now(conn: Connection, job_id: str) -> None:
    """Leave a job's message to the next sweep."""
    _sql.run(conn, "resend_job_now", job_id=job_id)


def offload_result(conn: Connection, job_id: str, result_data: Json) -> None:
    """Replace a result that was written to a blob by its summary."""
    _sql.run(conn, "offload_result", job_id=job_id, result_data=jsonb(result_data))
