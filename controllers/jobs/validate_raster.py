"""validate_raster: reads a raster, changes nothing, and tells what was found."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.jobs.raster_parameters import ProcessParameters, RasterController
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class ValidateRaster(RasterController):
    """One task."""

    job_type = "validate_raster"
    Parameters = ProcessParameters

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Everything is done in one task."""
        del stage, previous
        return [TaskSpec("validate_raster", self.task_parameters(job))]
