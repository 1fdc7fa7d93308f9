"""generate_tiling_plan: the grid that a raster would be cut into, for a look, and for tile_raster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from controllers.jobs.raster_parameters import RasterController
from controllers.jobs.tiling_parameters import PlanParameters
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec


class GenerateTilingPlan(RasterController):
    """Plan the tiles that a raster would be cut into, from its header alone."""

    job_type = "generate_tiling_plan"
    Parameters = PlanParameters
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "target_tile_size_gb": 0.0001,
    }
    stages = (Stage("plan", queue="raster"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """The header says it all."""
        del stage, previous
        return [TaskSpec("raster_plan_tiles", {**self.task_parameters(job), "list_tiles": True})]
