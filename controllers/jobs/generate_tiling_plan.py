"""generate_tiling_plan: the grid that a raster would be cut into, for a look, and for tile_raster."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.jobs.raster_parameters import RasterController
from controllers.jobs.tiling_parameters import TilingParameters
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class GenerateTilingPlan(RasterController):
    """One task."""

    job_type = "generate_tiling_plan"
    Parameters = TilingParameters
    stages = (Stage("plan", queue="raster"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """The header says it all."""
        del stage, previous
        return [TaskSpec("raster_plan_tiles", {**self.task_parameters(job), "list_tiles": True})]
