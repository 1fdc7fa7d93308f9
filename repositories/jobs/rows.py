"""Rows of jobs and tasks as the values that they stand for."""

from __future__ import annotations

from typing import Any

from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from schema.jobs import Job, JobStatus, Task, TaskStatus
from schema.jsonb import to_jsonb


def job_of(row: DictRow) -> Job:
    """Read a row of app.jobs."""
    return Job(**{**row, "status": JobStatus(row["status"])})


def task_of(row: DictRow) -> Task:
    """Read a row of app.tasks."""
    return Task(**{**row, "status": TaskStatus(row["status"])})


def optional_job(row: DictRow | None) -> Job | None:
    """Read a row of app.jobs, if there is one."""
    return job_of(row) if row else None


def optional_task(row: DictRow | None) -> Task | None:
    """Read a row of app.tasks, if there is one."""
    return task_of(row) if row else None


def jsonb(value: Any) -> Jsonb:
    """Write a value as jsonb; one that jsonb cannot hold is refused when it is sent."""
    return Jsonb(value, dumps=to_jsonb)
