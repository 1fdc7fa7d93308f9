"""Runs the raster handlers through their controllers: blobs in memory, a real database, one try in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from controllers.jobs.raster import CogConversion, ProcessRaster, RasterController, ValidateRaster
from controllers.jobs.tiling import GenerateTilingPlan, ProcessLargeRaster, TileRaster
from repositories.postgres import Database
from repositories.storage.fake_blobs import FakeBlobs
from schema.jobs import Job, JobStatus, Json, Source, Task, TaskResult, TaskSpec, TaskStatus, new_job_id, task_id_of
from schema.settings import Settings
from services import resolve_handler
from services.context import TaskContext
from tests.unit.raster.rasters import write_bytes

CONTAINER = "bronze"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONTROLLERS: dict[str, RasterController] = {
    "validate_raster": ValidateRaster(), "cog_conversion": CogConversion(), "process_raster": ProcessRaster(),
    "generate_tiling_plan": GenerateTilingPlan(), "process_large_raster": ProcessLargeRaster(),
    "tile_raster": TileRaster(),
}  # fmt: skip


@dataclass
class World:
    """A deployment of handlers."""

    database: Database
    settings: Settings
    folder: Path
    blobs: FakeBlobs = field(default_factory=FakeBlobs)
    lost: Callable[[], bool] = lambda: False

    def put(self, name: str, data: bytes) -> str:
        self.blobs.write(CONTAINER, name, data)
        return name

    def put_raster(self, name: str, **what: Any) -> str:
        return self.put(name, write_bytes(self.folder / "made.tif", **what))

    def run(self, job_type: str, name: str, **parameters: Any) -> Json:
        """Run a job and give its result, with the job's warnings under "warnings"."""
        controller = CONTROLLERS[job_type]
        checked = controller.Parameters(dataset_id=CONTAINER, resource_id=name, **parameters)
        job = _job(job_type, checked.model_dump(mode="json", exclude_none=True))
        source = self.blobs.head(CONTAINER, name)
        results: list[TaskResult] = []
        for stage in controller.stages:
            specs = controller.create_tasks(stage, job, results)
            results = [self.run_task(job, n, spec, source) for n, spec in enumerate(specs, start=1)]
            if stage != controller.stages[-1]:
                job = replace(job, stage_data={**job.stage_data, **controller.stage_data(stage, job, results)})
        outcome = controller.aggregate_results(job, results)
        return {**outcome.result_data, "warnings": outcome.warnings}

    def run_task(self, job: Job, number: int, spec: TaskSpec, source: Source) -> TaskResult:
        """Run a task; its error is the caller's."""
        task = _task(job, number, spec.task_type, spec.parameters)
        with TaskContext(task, source, self.settings, self.blobs, self.database, self.lost) as ctx:
            result = resolve_handler(spec.task_type)(ctx)
        for act in ctx.afterwards:
            act()
        return TaskResult(task.task_id, number, TaskStatus.COMPLETED, result, None, spec.parameters)

    def output(self, result: Json) -> Path:
        """Return the COG of a result as a local file."""
        container, _, blob = result["cog_path"].partition("/")
        path = self.folder / "output.tif"
        path.write_bytes(self.blobs.read(container, blob))
        return path

    def published(self) -> list[str]:
        """List the outputs."""
        return sorted(self.blobs.containers.get(self.settings.output_container, {}))


def _job(job_type: str, parameters: Json) -> Job:
    return Job(
        job_id=new_job_id(), job_type=job_type, status=JobStatus.PROCESSING, parameters=parameters, source=None,
        stages=1, current_stage_n=1, current_stage="execute", stage_sequence={}, stage_data={}, stage_history=[],
        stage_tasks=1, start_failures=0, progress_floor=0, result_data=None, warnings=[], error=None, dedup_key="",
        idempotency_key=None, traceparent=None, sends=1, resend_at=NOW, work_area="kept", clear_at=None,
        created_at=NOW, started_at=NOW, updated_at=NOW, finished_at=None, deadline_at=NOW,
    )  # fmt: skip


def _task(job: Job, number: int, task_type: str, parameters: Json) -> Task:
    return Task(
        task_id=task_id_of(job.job_id, 1, number), job_id=job.job_id, stage_n=1, task_index=number, task_type=task_type,
        queue="raster", parameters=parameters, status=TaskStatus.PROCESSING, attempt=1, tries=1, max_tries=3, deaths=0,
        max_deaths=3, lease_until=None, deadline_at=None, not_before=NOW, sends=1, resend_at=NOW, result=None,
        error=None, created_at=NOW, started_at=NOW, updated_at=NOW, finished_at=None,
    )  # fmt: skip
