"""Single rasters: validated, converted to a COG, processed into one CRS with a STAC item."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from controllers.base import BlobName, Container, JobParameters, SingleTask, fault, spell_crs
from schema.jobs import Job, Json, Source, Stage
from services.content_encoding import check_encoding

MAX_BLOB_NAME = 1024
COLLECTION_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,199}$"
CRS_PATTERN = r"^[A-Za-z][A-Za-z0-9_]*:[A-Za-z0-9_.]+$"
Resampling = Literal[
    "nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode", "max", "min", "med", "q1", "q3",
    "sum", "rms",
]  # fmt: skip
# The first two name the source, which a task gets from its job.
LABELS = ("dataset_id", "resource_id", "system")
Nodata = Annotated[float, Field(allow_inf_nan=False, strict=True)] | Literal["nan", "none"]


def _plain_blob(name: str) -> str:
    # Names under which GDAL would open other files, or ask other hosts.
    if name.lower().startswith(("/vsi", "vsi")) or "://" in name or name.lower().endswith(".vrt"):
        raise ValueError("names a GDAL virtual file or an address; it must be the name of a GeoTIFF blob")
    return name


def _not_dots_alone(name: str | None) -> str | None:
    # The version is a part of the output's path, where such a name would lead out of its folder.
    if name is not None and set(name) == {"."}:
        raise ValueError("must be a name, not dots alone")
    return name


def _crs_schema(*words: str) -> WithJsonSchema:
    patterns = "|".join((CRS_PATTERN, r"^\d{4,6}$", *(f"^{word}$" for word in words)))
    return WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": patterns}, {"type": "integer", "minimum": 1_000, "maximum": 999_999}]}
    )


_Crs = Annotated[str, BeforeValidator(spell_crs), Field(pattern=CRS_PATTERN), _crs_schema()]
Version = Annotated[
    str | None,
    Field(
        pattern=r"^[^/\\\x00-\x1f]{1,100}$",
        description="Name of this version of the output, part of its blob's name and of its item's id; v1 by default.",
        examples=["2024-05"],
    ),
    AfterValidator(_not_dots_alone),
]
CollectionName = Annotated[
    str | None,
    Field(
        pattern=COLLECTION_PATTERN,
        description="STAC collection of the item; made of dataset_id by default, and created where it is missing.",
        examples=["elevation"],
    ),
]
TargetCrs = Annotated[
    str,
    BeforeValidator(spell_crs),
    _crs_schema("native"),
    Field(
        pattern=rf"^native$|{CRS_PATTERN}",
        description='CRS of the output, as the code of an authority; "native" keeps pixels and CRS as they are.',
        examples=["EPSG:32616"],
    ),
]
Optimize = Annotated[
    Literal["lossless", "none"],
    Field(
        description="Data type of the output. lossless: the smallest integer type that holds every value and nodata "
        "exactly, the source's where none does; none: the source's.",
        examples=["none"],
    ),
]
SizeLimit = Annotated[
    float | None,
    Field(
        strict=True,
        gt=0,
        le=1000,
        description="Largest raster that one task takes, in 1e9 bytes of uncompressed pixels; "
        "GEOSTAGE_MAX_RASTER_SIZE_GB by default.",
        examples=[4.5],
    ),
]


class RasterParameters(JobParameters):
    """Which raster, what to know about it that the file does not say, and how its pixels are written."""

    dataset_id: Container = Field(description="Container of the file.")
    # 900 of a blob name's 1,024 characters: the output's name has the version and an extension behind it.
    resource_id: Annotated[BlobName, Field(min_length=1, max_length=900), AfterValidator(_plain_blob)] = Field(
        description="Name of the file's blob in the container, with its folders: a GeoTIFF.",
        examples=["surveys/2024/dem.tif"],
    )
    source_crs: _Crs | None = Field(
        default=None,
        description="CRS of the file, for one that has none; it wins over the one that the file names.",
        examples=["EPSG:4269"],
    )
    nodata: Nodata | None = Field(
        default=None,
        description='Value that stands for no data: a number, or "nan"; "none" takes every value for data. The '
        "file's own by default.",
        examples=[-9999, "nan"],
    )
    profile: Literal["deflate", "zstd", "lerc"] = Field(
        default="deflate", description="Compression of the COG; all of them are lossless.", examples=["zstd"]
    )
    resampling: Resampling | None = Field(
        default=None,
        description="Method of reprojection and of the overviews. By default nearest and mode for palettes, classes "
        "and masks, bilinear and average for all else.",
        examples=["cubic"],
    )


class OutputParameters(RasterParameters):
    """Which version of the output is written."""

    longest_ending: ClassVar[str] = ".tif"
    """What the name of an output has at most behind its version."""
    version_id: Version = None

    @model_validator(mode="after")
    def _fits_a_blob_name(self) -> Self:
        parts = (self.dataset_id, self.resource_id, self.version_id or "v1")
        if sum(len(part) + 1 for part in parts) + len(self.longest_ending) > MAX_BLOB_NAME:
            raise fault("resource_id", f"makes an output name of more than {MAX_BLOB_NAME} characters")
        return self


class ValidationParameters(RasterParameters):
    """What validate_raster takes: its forecast is about a process_raster with the same parameters."""

    target_crs: TargetCrs = "EPSG:4326"
    optimize: Optimize = "lossless"
    max_raster_size_gb: SizeLimit = None


class ProcessParameters(OutputParameters, ValidationParameters):
    """What process_raster takes."""

    collection_id: CollectionName = None


class RasterController(SingleTask):
    """A job of one task on one raster."""

    stages: ClassVar[tuple[Stage, ...]] = (Stage("execute", queue="raster"),)

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        """Name the file."""
        return parameters.dataset_id or "", parameters.resource_id or ""

    def check_source(self, source: Source) -> None:
        check_encoding(source, by_ranges=True)

    def task_parameters(self, job: Job) -> Json:
        """Return everything but the labels that name the source."""
        return {key: value for key, value in job.parameters.items() if key not in LABELS}


class ValidateRaster(RasterController):
    """Check a raster, and report what it is and what process_raster would make of it. Nothing is written."""

    job_type = "validate_raster"
    Parameters = ValidationParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "resource_id": "jacksboro_dem.tif", "target_crs": "EPSG:32616"}


class CogConversion(RasterController):
    """Write a raster as a Cloud Optimized GeoTIFF with the same pixels, CRS and data type."""

    job_type = "cog_conversion"
    Parameters = OutputParameters
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "version_id": "as-it-is",
        "profile": "zstd",
    }

    def task_parameters(self, job: Job) -> Json:
        return {**super().task_parameters(job), "optimize": "none"}


class ProcessRaster(RasterController):
    """Reproject a raster, write it as a Cloud Optimized GeoTIFF, and add it to the STAC catalogue."""

    job_type = "process_raster"
    Parameters = ProcessParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "resource_id": "jacksboro_dem.tif", "resampling": "cubic"}


class ReprojectParameters(ProcessParameters):
    """What process_raster takes, with a target."""

    target_crs: _Crs = Field(description="CRS of the output, as the code of an authority.", examples=["EPSG:3857"])


class ReprojectRaster(RasterController):
    """Reproject a raster to the CRS that you name, write it as a Cloud Optimized GeoTIFF, and add it to the STAC
    catalogue. This is process_raster without a default for the CRS.
    """

    job_type = "reproject_raster"
    task_type = "process_raster"
    Parameters = ReprojectParameters
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "version_id": "utm",
        "target_crs": "EPSG:32616",
    }
