"""cog_conversion: a raster becomes a COG with the same pixels in the same place."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.jobs.raster_parameters import OutputParameters, RasterController
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class CogConversion(RasterController):
    """One task."""

    job_type = "cog_conversion"
    Parameters = OutputParameters

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Everything is done in one task."""
        del stage, previous
        return [TaskSpec("cog_conversion", {**self.task_parameters(job), "optimize": "none"})]
