"""Parameters that the job types for single rasters share, and how their one task's result becomes the job's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, field_validator

from controllers.base import Controller, JobOutcome, JobParameters
from schema.jobs import Job, Json, Source, Stage, TaskResult
from schema.settings import Settings
from services.content_encoding import check_encoding

MAX_BLOB_NAME = 1024
COLLECTION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$"
CRS_PATTERN = r"^[A-Za-z][A-Za-z0-9_]*:[A-Za-z0-9_.]+$"
Resampling = Literal[
    "nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode", "max", "min", "med", "q1", "q3",
    "sum", "rms",
]  # fmt: skip
LABELS = ("dataset_id", "resource_id", "system")
Nodata = Annotated[float, Field(allow_inf_nan=False, strict=True)] | Literal["nan", "none"]


def _plain_blob(name: str) -> str:
    if name.lower().startswith(("/vsi", "vsi")) or "://" in name or name.lower().endswith(".vrt"):
        raise ValueError("names a GDAL virtual file or an address; it must be the name of a GeoTIFF blob")
    return name


class RasterParameters(JobParameters):
    """Which raster, and what to know about it that the file does not say."""

    dataset_id: str = Field(min_length=1, max_length=63, description="Container of the file.")
    resource_id: Annotated[str, Field(min_length=1, max_length=900), AfterValidator(_plain_blob)] = Field(
        description="The file's full name in its container: a GeoTIFF."
    )
    version_id: str | None = Field(
        default=None, pattern=r"^[^/\\\x00-\x1f]{1,100}$", description="Name of the output's version; v1 by default."
    )
    source_crs: str | None = Field(default=None, pattern=CRS_PATTERN, description="CRS of the file, if it has none.")
    nodata: Nodata | None = Field(
        default=None, description='Value that stands for no data; "nan", or "none" to take none for it.'
    )

    @field_validator("version_id")
    @classmethod
    def _no_dots_alone(cls, value: str | None) -> str | None:
        if value is not None and set(value) == {"."}:
            raise ValueError("must be a name, not dots alone")
        return value


class OutputParameters(RasterParameters):
    """How a COG is written."""

    profile: Literal["deflate", "zstd", "lerc"] = Field(default="deflate", description="Compression; all are lossless.")
    resampling: Resampling | None = Field(
        default=None, description="By default nearest for palettes, classes and masks, bilinear for all else."
    )


class ProcessParameters(OutputParameters):
    """What process_raster does."""

    target_crs: str = Field(
        default="EPSG:4326", pattern=rf"^native$|{CRS_PATTERN}", description='An authority\'s code, or "native".'
    )
    optimize: Literal["lossless", "none"] = Field(
        default="lossless", description="lossless: the smallest integer type that holds every value and nodata exactly."
    )
    collection_id: str | None = Field(
        default=None, pattern=COLLECTION_PATTERN, description="By default made of dataset_id."
    )
    max_raster_size_gb: float | None = Field(
        default=None,
        strict=True,
        gt=0,
        le=1000,
        description="1e9 bytes of uncompressed pixels; by default the deployment's limit.",
    )


class RasterController(Controller):
    """A job of one task on one raster."""

    stages: ClassVar[tuple[Stage, ...]] = (Stage("execute", queue="raster"),)

    def check_parameters(self, parameters: JobParameters, settings: Settings) -> list[Json]:
        """Refuse names that would make the output's name longer than a blob's may be."""
        del settings
        parts = (parameters.dataset_id, parameters.resource_id, parameters.version_id or "v1")
        if sum(len(part or "") + 1 for part in parts) + len(".tif") <= MAX_BLOB_NAME:
            return []
        return [{"field": "resource_id", "message": f"makes an output name of more than {MAX_BLOB_NAME} characters"}]

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        """Name the file."""
        return parameters.dataset_id or "", parameters.resource_id or ""

    def check_source(self, source: Source) -> None:
        """Raise PermanentError for a blob with a Content-Encoding."""
        check_encoding(source, by_ranges=True)

    def task_parameters(self, job: Job) -> Json:
        """Give everything but the labels that name the source."""
        return {key: value for key, value in job.parameters.items() if key not in LABELS}

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """The job's result is its task's; warnings stand on the job."""
        del job
        result: dict[str, Any] = dict(results[0].result or {})
        warnings = result.pop("warnings", [])
        return JobOutcome(result, warnings=warnings)
