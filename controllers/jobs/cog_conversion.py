"""cog_conversion: a raster becomes a COG with the same pixels in the same place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from controllers.jobs.raster_parameters import ConversionParameters, RasterController
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec


class CogConversion(RasterController):
    """Write a raster as a Cloud Optimized GeoTIFF, with the same pixels in the same place."""

    job_type = "cog_conversion"
    Parameters = ConversionParameters
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "version_id": "as-it-is",
        "profile": "zstd",
    }

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Everything is done in one task."""
        del stage, previous
        return [TaskSpec("cog_conversion", {**self.task_parameters(job), "optimize": "none"})]
