"""What the sweep looks for: rows that wait for something that may never come."""

from __future__ import annotations

from datetime import timedelta

from repositories.jobs.rows import job_of, jsonb, optional_task, task_of
from repositories.jobs.tasks import WakeUp
from repositories.postgres import Connection, Statements
from schema.jobs import Job, Json, Task

_sql = Statements("jobs/sweep")

STALE_SWEEP_SECONDS = 180
"""A sweep that has not run for so long neither resends nor takes back: no worker runs, or its timer is disabled."""


def begin_sweep(conn: Connection, *, period: timedelta) -> float | None:
    """Take the sweep for this process; return the seconds since the one before, or None when it is not due."""
    row = _sql.first(conn, "begin_sweep", period=period)
    return row["idle"] if row else None


def sweep_age(conn: Connection) -> float:
    """Return the seconds since the last sweep."""
    row = _sql.first(conn, "sweep_age")
    return float(row["age"]) if row else float("inf")


def due_jobs(conn: Connection, *, resend_after: timedelta, limit: int) -> list[tuple[str, int]]:
    """List (job_id, stage_n) of jobs whose message is due again, and move their next time on."""
    rows = _sql.rows(conn, "due_jobs", resend_after=resend_after, limit=limit)
    return [(row["job_id"], row["current_stage_n"]) for row in rows]


def due_tasks(conn: Connection, *, resend_after: timedelta, limit: int) -> list[WakeUp]:
    """List tasks whose message is due again, and move their next time on."""
    return [WakeUp(**row) for row in _sql.rows(conn, "due_tasks", resend_after=resend_after, limit=limit)]


def open_tasks_by_queue(conn: Connection) -> dict[str, int]:
    """Count queued and running tasks by kind of queue."""
    return {row["queue"]: row["tasks"] for row in _sql.rows(conn, "open_tasks_by_queue")}


def expired_tasks(conn: Connection, *, limit: int) -> list[Task]:
    """List running tasks whose lease ran out."""
    return [task_of(row) for row in _sql.rows(conn, "expired_tasks", limit=limit)]


def take_back_task(conn: Connection, task: Task, error: Json, *, resend_after: timedelta) -> Task | None:
    """Put a task back whose worker is gone; None when it was claimed again, has ended, or its deaths are used up."""
    return optional_task(
        _sql.first(
            conn,
            "take_back_task",
            task_id=task.task_id,
            attempt=task.attempt,
            error=jsonb(error),
            resend_after=resend_after,
        )
    )


def overdue_jobs(conn: Connection, *, limit: int) -> list[Job]:
    """List open jobs past their deadline."""
    return [job_of(row) for row in _sql.rows(conn, "overdue_jobs", limit=limit)]


def stalled_jobs(conn: Connection, *, limit: int) -> list[str]:
    """List started jobs without an open task, which would wait for ever; there should never be one."""
    return [row["job_id"] for row in _sql.rows(conn, "stalled_jobs", limit=limit)]
