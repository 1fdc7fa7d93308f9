"""Rows as a test needs them: every field has a plain value, and a test names those that it is about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from schema.jobs import Job, JobStatus, Task, TaskStatus

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
JOB_ID = "01890a5d0c7b7cc3a000000000000001"


def make_job(**fields: Any) -> Job:
    """A job of hello_world in its first stage."""
    values: dict[str, Any] = {
        "job_id": JOB_ID,
        "job_type": "hello_world",
        "status": JobStatus.PROCESSING,
        "parameters": {"n": 1},
        "source": None,
        "stages": 1,
        "current_stage_n": 1,
        "current_stage": "execute",
        "stage_sequence": {"1": "execute"},
        "stage_data": {},
        "stage_history": [],
        "stage_tasks": 1,
        "start_failures": 0,
        "progress_floor": 0,
        "result_data": None,
        "warnings": [],
        "error": None,
        "dedup_key": "d",
        "idempotency_key": None,
        "traceparent": None,
        "sends": 0,
        "resend_at": NOW + timedelta(seconds=30),
        "work_area": "kept",
        "clear_at": None,
        "created_at": NOW,
        "started_at": NOW,
        "updated_at": NOW,
        "finished_at": None,
        "deadline_at": NOW + timedelta(hours=24),
    }
    return Job(**{**values, **fields})


def make_task(**fields: Any) -> Task:
    """A queued hello task."""
    values: dict[str, Any] = {
        "task_id": f"{JOB_ID}-1-0001",
        "job_id": JOB_ID,
        "stage_n": 1,
        "task_index": 1,
        "task_type": "hello",
        "queue": "light",
        "parameters": {"hello_number": 1, "message": "Hi"},
        "status": TaskStatus.QUEUED,
        "attempt": 0,
        "tries": 0,
        "max_tries": 3,
        "deaths": 0,
        "max_deaths": 5,
        "lease_until": None,
        "deadline_at": None,
        "not_before": NOW,
        "sends": 0,
        "resend_at": NOW + timedelta(seconds=60),
        "result": None,
        "error": None,
        "created_at": NOW,
        "started_at": None,
        "updated_at": NOW,
        "finished_at": None,
    }
    return Task(**{**values, **fields})
