"""The contract of a job type: parameters, stages, fan-out, hand-over, result. A controller is pure: it does no I/O."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from schema.jobs import Job, JobStatus, Json, Stage, TaskResult, TaskSpec
from schema.settings import Settings
from schema.words import clip

Container = Annotated[str, Field(min_length=1, max_length=63, examples=["bronze"])]
_Label = Annotated[str | None, Field(min_length=1, max_length=1024)]


class JobParameters(BaseModel):
    """Parameters of every job type: its own, and four labels that any job may have. Unknown fields are refused.

    A type that declares one of the labels itself uses it. The others are stored and shown with the job, and never read.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset_id: _Label = Field(
        default=None, description="Label: the data set that the job is about.", examples=["bronze"]
    )
    resource_id: _Label = Field(
        default=None, description="Label: the resource that the job is about.", examples=["counties"]
    )
    version_id: _Label = Field(default=None, description="Label: the version that the job is about.", examples=["v2"])
    system: StrictBool = Field(
        default=False, description="Label: a system submitted the job, and not a person.", examples=[True]
    )

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """Return the names of the labels that this job type does not use."""
        models = (base for base in cls.__mro__ if issubclass(base, JobParameters) and base is not JobParameters)
        used = {name for model in models for name in inspect.get_annotations(model)}
        return tuple(name for name in JobParameters.model_fields if name not in used)


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
    example: ClassVar[Json] = {}
    """Parameters that work: shown by GET /api/job-types and in docs/, and run there by a test on the demo's samples."""
    stages: ClassVar[tuple[Stage, ...]]

    def summary(self) -> str:
        """Return what the job type does, in a sentence: the first line of its docstring."""
        return (inspect.getdoc(type(self)) or self.job_type).partition("\n")[0]

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
