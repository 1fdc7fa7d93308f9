"""A driver that runs process_vector's handlers in order, through its controller, against a real database.

It stands in for the engine: one try per task, each in its own context, in this process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from psycopg import sql
from psycopg.rows import tuple_row

from controllers.engine.validation import validate
from controllers.jobs.vector import ProcessVector
from repositories.postgres import Database
from repositories.storage.fake_blobs import FakeBlobs
from schema.jobs import Job, JobStatus, Json, Source, Stage, Task, TaskResult, TaskSpec, TaskStatus, new_job_id
from schema.settings import WORK_SCHEMA, Settings
from services import resolve_handler
from services.context import TaskContext

CONTAINER = "bronze"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Loader:
    """Loads files into the database, as jobs do."""

    database: Database
    settings: Settings
    folder: Path
    """For files that a test writes before it puts them."""
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    before_task: Callable[[TaskContext], None] = lambda _: None

    def put(self, name: str, data: bytes) -> str:
        self.blobs.write(CONTAINER, name, data)
        return name

    def load(self, name: str, **parameters: Any) -> Json:
        """Run a job to its end and give its result; the work area is cleaned whatever happens."""
        job = self.job(name, **parameters)
        try:
            return self.finish(job, self.run_stages(job))
        finally:
            self.clean(job.job_id)

    def job(self, name: str, **parameters: Any) -> Job:
        controller = ProcessVector()
        checked = validate(controller, {"dataset_id": CONTAINER, "resource_id": name, **parameters}, self.settings)
        return _job(checked.model_dump(mode="json"))

    def run_stages(self, job: Job) -> list[TaskResult]:
        results: list[TaskResult] = []
        for number, stage in enumerate(ProcessVector.stages, start=1):
            results = self.run_stage(job, stage, number, results)
        return results

    def run_stage(self, job: Job, stage: Stage, number: int, previous: Sequence[TaskResult]) -> list[TaskResult]:
        controller = ProcessVector()
        specs = controller.create_tasks(stage, job, previous)
        results = [self.run_task(job, spec, number, index) for index, spec in enumerate(specs, start=1)]
        job.stage_data.update(controller.stage_data(stage, job, results))
        return results

    def run_task(self, job: Job, spec: TaskSpec, stage_n: int, index: int, attempt: int = 1) -> TaskResult:
        task = _task(job, spec, stage_n, index, attempt)
        source = self.blobs.head(CONTAINER, job.parameters["resource_id"])
        with TaskContext(task, Source(**source.__dict__), self.settings, self.blobs, self.database) as ctx:
            self.before_task(ctx)
            result = resolve_handler(spec.task_type)(ctx)
        return TaskResult(task.task_id, index, TaskStatus.COMPLETED, result, None, spec.parameters)

    def finish(self, job: Job, results: Sequence[TaskResult]) -> Json:
        return ProcessVector().aggregate_results(job, results).result_data

    def clean(self, job_id: str) -> None:
        with self.database.transaction() as conn:
            for name in self.work_tables(job_id):
                conn.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(WORK_SCHEMA, name)))
        self.blobs.delete_prefix(self.settings.work_container, f"{job_id}/")

    def work_tables(self, job_id: str = "") -> list[str]:
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, %s)"
        with self.database.connection() as conn:
            return [row["tablename"] for row in conn.execute(query, [WORK_SCHEMA, f"s_{job_id}"])]

    def rows(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        with self.database.connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), params).fetchall()

    def value(self, query: str, *params: Any) -> Any:
        return self.rows(query, *params)[0][0]


def _job(parameters: Json) -> Job:
    return Job(
        job_id=new_job_id(), job_type="process_vector", status=JobStatus.PROCESSING, parameters=parameters,
        source=None, stages=3, current_stage_n=1, current_stage="preprocess", stage_sequence={}, stage_data={},
        stage_history=[], stage_tasks=1, start_failures=0, progress_floor=0, result_data=None, warnings=[], error=None,
        dedup_key="", idempotency_key=None, traceparent=None, sends=1, resend_at=NOW, work_area="kept", clear_at=None,
        created_at=NOW, started_at=NOW, updated_at=NOW, finished_at=None, deadline_at=NOW,
    )  # fmt: skip


def _task(job: Job, spec: TaskSpec, stage_n: int, index: int, attempt: int) -> Task:
    return Task(
        task_id=f"{job.job_id}-{stage_n}-{index:04d}", job_id=job.job_id, stage_n=stage_n, task_index=index,
        task_type=spec.task_type, queue="vector", parameters=spec.parameters, status=TaskStatus.PROCESSING,
        attempt=attempt, tries=1, max_tries=3, deaths=0, max_deaths=3, lease_until=None, deadline_at=None,
        not_before=NOW, sends=1, resend_at=NOW, result=None, error=None, created_at=NOW, started_at=NOW,
        updated_at=NOW, finished_at=None,
    )  # fmt: skip
