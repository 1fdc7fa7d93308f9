"""Jobs, stages and tasks: the frozen rows that every layer passes around, and the states they may be in."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

JOB_ID_PATTERN = r"^[0-9a-f]{32}$"

Json = dict[str, Any]


class JobStatus(StrEnum):
    """queued -> processing -> completed | completed_with_errors | failed | cancelled."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    COMPLETED_WITH_ERRORS = "completed_with_errors"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        """Whether no task of such a job can run any more."""
        return self not in (JobStatus.QUEUED, JobStatus.PROCESSING)


class TaskStatus(StrEnum):
    """queued -> processing -> completed | failed | cancelled; processing -> queued when tried again."""

    QUEUED = "queued"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class TaskQueue(StrEnum):
    """The kinds of work; each has a queue of its own, so that none waits behind another."""

    VECTOR = "vector"
    RASTER = "raster"
    LIGHT = "light"


FailurePolicy = Literal["fail_fast", "finish_all"]


@dataclass(frozen=True)
class Stage:
    """One step of a job type: its tasks run in parallel, and the next stage starts when all have ended."""

    name: str
    queue: TaskQueue | Literal["vector", "raster", "light"] = TaskQueue.LIGHT
    on_failure: FailurePolicy = "fail_fast"


@dataclass(frozen=True)
class TaskSpec:
    """A task that a controller asks for."""

    task_type: str
    """Key of services.HANDLERS."""
    parameters: Json = field(default_factory=dict)


@dataclass(frozen=True)
class Source:
    """A blob as it was when the job was accepted."""

    container: str
    blob: str
    etag: str
    size: int
    """Bytes, as stored: of a blob with a Content-Encoding those of the packed file."""
    last_modified: str | None = None
    """ISO 8601, UTC."""
    content_encoding: str | None = None
    """As it was set when the blob was uploaded; changing it changes the ETag."""

    @property
    def label(self) -> str:
        """The blob as messages and STAC items name it: container/blob."""
        return f"{self.container}/{self.blob}"


@dataclass(frozen=True)
class Job:
    """A row of app.jobs."""

    job_id: str
    job_type: str
    status: JobStatus
    parameters: Json
    source: Json | None
    stages: int
    current_stage_n: int
    """1-based."""
    current_stage: str
    stage_sequence: Json
    stage_data: Json
    stage_history: list[Json]
    stage_tasks: int | None
    """Number of tasks that the current stage was started with; None while it has not been started."""
    start_failures: int
    progress_floor: int
    """Percent that a failed job had reached, so that progress does not fall when a retry requeues tasks."""
    result_data: Json | None
    warnings: list[Json]
    error: Json | None
    dedup_key: str
    idempotency_key: str | None
    traceparent: str | None
    sends: int
    resend_at: datetime
    work_area: Literal["kept", "gone"]
    clear_at: datetime | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None
    deadline_at: datetime


@dataclass(frozen=True)
class Task:
    """A row of app.tasks."""

    task_id: str
    job_id: str
    stage_n: int
    task_index: int
    """1-based within its stage."""
    task_type: str
    queue: str
    parameters: Json
    status: TaskStatus
    attempt: int
    """The fence: grows with every claim, over retries too."""
    tries: int
    """The budget used; a retry by the user sets it to 0."""
    max_tries: int
    deaths: int
    """Times that a lease ran out; counted apart from tries."""
    max_deaths: int
    lease_until: datetime | None
    deadline_at: datetime | None
    not_before: datetime
    sends: int
    resend_at: datetime
    result: Json | None
    error: Json | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    finished_at: datetime | None


@dataclass(frozen=True)
class TaskResult:
    """What an ended task left, as create_tasks and aggregate_results see it."""

    task_id: str
    task_index: int
    status: TaskStatus
    result: Json | None
    error: Json | None
    parameters: Json


def new_job_id() -> str:
    """Make a UUIDv7 (RFC 9562, section 5.7) as 32 lower-case hex digits: ids sort by the time they were made."""
    # Ids in order of time keep inserts at one end of the index, and list jobs by time without another column.
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10))
    value = milliseconds << 80 | 0x7 << 76 | (random >> 68) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    return f"{value:032x}"


def task_id_of(job_id: str, stage_n: int, task_index: int) -> str:
    """Name a task by its place, so that the same fan-out gives the same ids."""
    return f"{job_id}-{stage_n}-{task_index:04d}"


def job_id_of(task_id: str) -> str:
    """Return the id of the job that a task belongs to."""
    return task_id.partition("-")[0]


def stage_sequence_of(stages: tuple[Stage, ...]) -> Mapping[str, str]:
    """Number the stages from 1, with keys as JSON has them."""
    return {str(n): stage.name for n, stage in enumerate(stages, start=1)}
