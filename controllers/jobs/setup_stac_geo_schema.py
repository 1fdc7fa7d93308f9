"""setup_stac_geo_schema: the database gets the migrations that it does not have, ours and pgSTAC's."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.base import Controller, JobOutcome
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class SetupStacGeoSchema(Controller):
    """Apply the database migrations that are missing, Geostage's and pgSTAC's."""

    job_type = "setup_stac_geo_schema"
    # In a child process: pgSTAC's package sets JSON for all of psycopg while it is imported.
    stages = (Stage("execute", queue="vector"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """One task."""
        del stage, job, previous
        return [TaskSpec("setup_stac_geo_schema")]

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """The job's result is its task's."""
        del job
        return JobOutcome(dict(results[0].result or {}))
