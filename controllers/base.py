"""The contract of a job type: parameters, stages, fan-out, hand-over, result. A controller is pure: it does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from schema.jobs import Job, JobStatus, Json, Source, Stage, TaskResult, TaskSpec
from schema.settings import Settings
from schema.words import clip
from services.content_encoding import check_encoding

Label = Field(default=None, min_length=1, max_length=1024)


class JobParameters(BaseModel):
    """Parameters of every job type: unknown fields are refused, the labels are stored and shown where not used."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset_id: str | None = Label
    resource_id: str | None = Label
    version_id: str | None = Label
    system: StrictBool = False


@dataclass(frozen=True)
class JobOutcome:
    """How a job ends, and with what."""

    result_data: Json
    status: JobStatus = JobStatus.COMPLETED
    """completed, completed_with_errors or failed."""
    warnings: list[Json] = field(default_factory=list)
    """Each {code, message, count}."""
    error: Json | None = None
    """Required when status is failed; see schema.errors.ErrorInfo."""


class Controller:
    """A job type. Subclass it, name it in controllers.CONTROLLERS, and routes, retries and OpenAPI follow."""

    job_type: ClassVar[str]
    Parameters: ClassVar[type[JobParameters]] = JobParameters
    stages: ClassVar[tuple[Stage, ...]]

    def check_parameters(self, parameters: JobParameters, settings: Settings) -> list[Json]:
        """Judge what depends on the deployment's settings; each fault is {"field", "message"}.

        A field that is not valid in itself is None.
        """
        del parameters, settings
        return []

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        """Name the container and the blob that the job works on, if any; the POST looks whether it exists."""
        del parameters
        return None

    def check_source(self, source: Source) -> None:
        """Raise PermanentError for a blob that no task of the job could read; the POST is then refused with it."""
        check_encoding(source)

    def container(self, parameters: JobParameters) -> str | None:
        """Name the container whose blobs the job works through, if any; the POST looks whether it exists."""
        del parameters
        return None

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Decide the tasks of a stage. `previous` are the ended tasks of the stage before, in order.

        No tasks: the stage is complete at once. PermanentError fails the job; any other error is tried again.
        """
        raise NotImplementedError

    def stage_data(self, stage: Stage, job: Job, results: Sequence[TaskResult]) -> Json:
        """Choose the little that later stages need of an ended stage; merged into `job.stage_data`."""
        del stage, job, results
        return {}

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Make the job's result of the last stage's tasks. An error in here fails the job."""
        raise NotImplementedError


def schema_faults(schema: str | None, settings: Settings) -> list[Json]:
    """Refuse a target_schema that is none of this deployment's: others may hold what is not the callers' business."""
    if schema is None or schema in settings.target_schemas:
        return []
    allowed = ", ".join(settings.target_schemas)
    return [{"field": "target_schema", "message": f"{clip(schema)!r} is not one of the allowed schemas: {allowed}"}]
