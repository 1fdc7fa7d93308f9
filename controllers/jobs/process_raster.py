"""process_raster: a raster becomes a COG in one CRS, with a record in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.jobs.raster_parameters import ProcessParameters, RasterController
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class ProcessRaster(RasterController):
    """One task."""

    job_type = "process_raster"
    Parameters = ProcessParameters

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Everything is done in one task."""
        del stage, previous
        return [TaskSpec("process_raster", self.task_parameters(job))]
