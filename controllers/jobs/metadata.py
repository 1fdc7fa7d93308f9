"""Job types that only read: one light task, whose result is the job's."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.base import Controller, JobOutcome, JobParameters
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class MetadataController(Controller):
    """A question that one task answers; the task bears the name of the job type."""

    stages = (Stage("execute", queue="light"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Hand the parameters on, without the labels."""
        del stage, previous
        labels = JobParameters.model_fields
        return [TaskSpec(self.job_type, {name: v for name, v in job.parameters.items() if name not in labels})]

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Give the answer."""
        del job
        return JobOutcome(dict(results[0].result or {}))
