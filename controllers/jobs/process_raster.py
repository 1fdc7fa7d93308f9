"""process_raster: a raster becomes a COG in one CRS, with a record in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from controllers.jobs.raster_parameters import ProcessParameters, RasterController
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec


class ProcessRaster(RasterController):
    """Reproject a raster, write it as a Cloud Optimized GeoTIFF, and catalogue it."""

    job_type = "process_raster"
    Parameters = ProcessParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "resource_id": "jacksboro_dem.tif", "resampling": "cubic"}

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Everything is done in one task."""
        del stage, previous
        return [TaskSpec("process_raster", self.task_parameters(job))]
