"""The contract of a job type: parameters, stages, fan-out, hand-over, result. A controller is pure: it does no I/O."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from schema.clipping import clip
from schema.jobs import Job, JobStatus, Json, Source, Stage, TaskResult, TaskSpec
from schema.settings import SYSTEM_CONTAINER_PREFIX, Settings
from services.content_encoding import check_encoding


def settings_of(info: ValidationInfo) -> Settings | None:
    """Return the deployment's settings, which a POST gives to the validators; None where a model is made without."""
    return info.context["settings"] if info.context else None


def check_container(container: str, settings: Settings | None) -> None:
    """Raise ValueError for a container that is never a source."""
    # Blobs of the work container go with their jobs, and in the others the Functions host keeps its locks and keys.
    work = settings.work_container if settings else None
    if container == work or container.startswith(SYSTEM_CONTAINER_PREFIX):
        raise ValueError(f"{container} is reserved for Geostage's own files; name a container that holds yours")


def check_blob_name(blob: str) -> str:
    """Return the name of a blob. Raises ValueError for one that could lead out of its container."""
    # HTTP clients resolve such parts before they ask, so that the name could lead into another container.
    if {".", ".."} & set(blob.replace("\\", "/").split("/")):
        raise ValueError("must not have '.' or '..' between its slashes")
    return blob


def _not_reserved(container: str, info: ValidationInfo) -> str:
    check_container(container, settings_of(info))
    return container


def _allowed_schema(schema: str, info: ValidationInfo) -> str:
    # Other schemas may hold what is not the callers' business.
    settings = settings_of(info)
    if settings and schema not in settings.target_schemas:
        allowed = ", ".join(settings.target_schemas)
        raise ValueError(f"{clip(schema)!r} is not one of the allowed schemas: {allowed}")
    return schema


def fault(field: str, message: str) -> PydanticCustomError:
    """Return the error of one field, to raise where a validator of the whole model finds it."""
    # Pydantic formats the message with its context, so braces in it are doubled.
    return PydanticCustomError("fault", message.replace("{", "{{").replace("}", "}}"), {"field": field})


def spell_crs(code: object) -> object:
    """Return 25832, "25832" and "epsg:25832" as the code EPSG:25832; anything else as it is."""
    text = str(code).strip() if isinstance(code, int | str) and not isinstance(code, bool) else ""
    match = re.fullmatch(r"(?:epsg:)?(\d{4,6})", text, re.IGNORECASE)
    return f"EPSG:{match[1]}" if match else code


EPSG_PATTERN = r"^EPSG:\d{4,6}$"
EpsgCode = Annotated[
    str,
    BeforeValidator(spell_crs),
    Field(pattern=EPSG_PATTERN),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^([Ee][Pp][Ss][Gg]:)?\d{4,6}$"},
                {"type": "integer", "minimum": 1_000, "maximum": 999_999},
            ]
        }
    ),
]
"""A CRS of the EPSG registry, as EPSG:25832 whether it was given so or as its number."""
Container = Annotated[str, Field(min_length=1, max_length=63, examples=["bronze"]), AfterValidator(_not_reserved)]
BlobName = Annotated[str, AfterValidator(check_blob_name)]
"""The name of a blob in a container; add a length to it."""
AllowedSchema = AfterValidator(_allowed_schema)
"""Refuses a schema that is not one of GEOSTAGE_TARGET_SCHEMAS."""
_Label = Annotated[str | None, Field(min_length=1, max_length=1024)]


class JobParameters(BaseModel):
    """Parameters of every job type: its own, and four labels that any job may have. Unknown fields are refused.

    A type that declares one of the labels itself uses it. The others are stored and shown with the job, and never read.
    """

    # A parameter that is mistyped would be ignored, and the job run with the default of the one that was meant.
    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset_id: _Label = Field(
        default=None, description="Label: the data set that the job is about.", examples=["bronze"]
    )
    resource_id: _Label = Field(
        default=None, description="Label: the resource that the job is about.", examples=["counties"]
    )
    version_id: _Label = Field(default=None, description="Label: the version that the job is about.", examples=["v2"])
    # Strict, as all flags are: pydantic would take "off", "no" and 0 for false as well.
    system: StrictBool = Field(
        default=False, description="Label: a system submitted the job, and not a person.", examples=[True]
    )

    @classmethod
    def labels(cls) -> tuple[str, ...]:
        """Return the names of the labels that this job type does not use."""
        models = (base for base in cls.__mro__ if issubclass(base, JobParameters) and base is not JobParameters)
        used = {name for model in models for name in inspect.get_annotations(model)}
        return tuple(name for name in JobParameters.model_fields if name not in used)


REQUIRED_OF_AN_ERROR = ("code", "category", "message", "remediation", "retryable", "user_fixable")


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

    def __post_init__(self) -> None:
        # Answers promise these keys: what lacks one fails the job that made it, and not every later look at it.
        missing = [key for warning in self.warnings for key in ("code", "message", "count") if key not in warning]
        missing += [key for key in REQUIRED_OF_AN_ERROR if self.error is not None and key not in self.error]
        if missing:
            raise ValueError(f"A warning or the error of the job lacks {', '.join(missing)}.")


class Controller:
    """A job type. Subclass it, name it in controllers.CONTROLLERS, and routes, retries and OpenAPI follow."""

    job_type: ClassVar[str]
    Parameters: ClassVar[type[JobParameters]] = JobParameters
    example: ClassVar[Json] = {}
    """Parameters that work: shown by GET /api/job-types and in docs/, and run there by a test on the demo's samples."""
    stages: ClassVar[tuple[Stage, ...]]

    def summary(self) -> str:
        """Return what the job type does for its user: the first paragraph of its docstring."""
        first = (inspect.getdoc(type(self)) or self.job_type).partition("\n\n")[0]
        return " ".join(first.split())

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


class SingleTask(Controller):
    """A job of one task, named like the job type unless `task_type` says otherwise; its result is the job's."""

    stages: ClassVar[tuple[Stage, ...]] = (Stage("execute", queue="light"),)
    task_type: ClassVar[str] = ""

    def task_parameters(self, job: Job) -> Json:
        """Return what the task is told: the parameters without the labels."""
        return {name: value for name, value in job.parameters.items() if name not in JobParameters.model_fields}

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        del stage, previous
        return [TaskSpec(self.task_type or self.job_type, self.task_parameters(job))]

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Return the task's result, with its warnings moved to the job."""
        del job
        result = dict(results[0].result or {})
        return JobOutcome(result, warnings=result.pop("warnings", []))
