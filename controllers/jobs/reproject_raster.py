"""reproject_raster: a raster becomes a COG in the CRS that is asked for, with a record in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from controllers.jobs.raster_parameters import CRS_PATTERN, ProcessParameters, RasterController
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class ReprojectParameters(ProcessParameters):
    """What process_raster takes, with a target."""

    target_crs: str = Field(pattern=CRS_PATTERN, description="An authority's code, such as EPSG:3857.")


class ReprojectRaster(RasterController):
    """One task."""

    job_type = "reproject_raster"
    Parameters = ReprojectParameters

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """It is process_raster, in a CRS that must be named."""
        del stage, previous
        return [TaskSpec("process_raster", self.task_parameters(job))]
