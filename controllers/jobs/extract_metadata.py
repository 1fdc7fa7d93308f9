"""extract_metadata: what a file says about itself."""

from __future__ import annotations

from collections.abc import Sequence

from controllers.jobs.catalog_file import FileController
from schema.jobs import Job, Stage, TaskResult, TaskSpec


class ExtractMetadata(FileController):
    """Report what a file says about itself and where it lies; nothing is written."""

    job_type = "extract_metadata"
    stages = (Stage("execute", queue="vector"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """One task."""
        del stage, previous
        return [TaskSpec("extract_metadata", {"collection_id": self.collection_of(job)})]
