"""validate_raster: reads a raster, changes nothing, and tells what was found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from controllers.jobs.raster_parameters import RasterController, ValidationParameters
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec


class ValidateRaster(RasterController):
    """Read a raster, and report what it is and what process_raster would make of it."""

    job_type = "validate_raster"
    Parameters = ValidationParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "resource_id": "jacksboro_dem.tif", "target_crs": "EPSG:32616"}

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Everything is done in one task."""
        del stage, previous
        return [TaskSpec("validate_raster", self.task_parameters(job))]
