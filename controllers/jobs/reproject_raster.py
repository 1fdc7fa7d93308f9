"""reproject_raster: a raster becomes a COG in the CRS that is asked for, with a record in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from controllers.jobs.raster_parameters import CRS_PATTERN, ProcessParameters, RasterController
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec


class ReprojectParameters(ProcessParameters):
    """What process_raster takes, with a target."""

    target_crs: str = Field(
        pattern=CRS_PATTERN, description="CRS of the output, as the code of an authority.", examples=["EPSG:3857"]
    )


class ReprojectRaster(RasterController):
    """Do what process_raster does, in a CRS that must be named."""

    job_type = "reproject_raster"
    Parameters = ReprojectParameters
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "version_id": "utm",
        "target_crs": "EPSG:32616",
    }

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """It is process_raster, in a CRS that must be named."""
        del stage, previous
        return [TaskSpec("process_raster", self.task_parameters(job))]
