"""process_vector: a file of features becomes a PostGIS table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from controllers.base import (
    AllowedSchema,
    BlobName,
    Container,
    Controller,
    EpsgCode,
    JobOutcome,
    JobParameters,
    fault,
)
from schema.clipping import clip
from schema.errors import PermanentError
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec
from services.file_kinds import kind_of_name
from services.vector.formats import EXTENSIONS, format_of
from services.vector.load import row_accounting
from services.vector.load.names import MAX_TABLE_BYTES, OWN_TABLES, REJECTS_SUFFIX, TABLE_PATTERN, table_name_of
from services.vector.load.stages import Options, PreprocessResult, PublishTask, StagedLoad, UploadResult, UploadTask
from services.vector.readers.encodings import known_name

PERCENT_PATTERN = r"^(100(\.0+)?|\d{1,2}(\.\d+)?)%$"
DEFAULT_MAX_REJECTED = {"replace": "1%", "append": 0}


def _check_extension(blob: str) -> str:
    kind = kind_of_name(blob)
    if format_of(blob) is None and kind:
        raise ValueError(f"{clip(blob)} is {kind.what}. {kind.remedy} Supported are {', '.join(EXTENSIONS)}")
    if format_of(blob) is None:
        raise ValueError(f"the extension is not supported; supported are {', '.join(EXTENSIONS)}")
    return blob


def _check_table(name: object) -> object:
    if name is None:
        raise ValueError("is required, because no identifier can be made of the file's name")
    if isinstance(name, str) and name.endswith(REJECTS_SUFFIX):
        raise ValueError(f"must not end in {REJECTS_SUFFIX}: that is the table of rejected rows")
    return name


def _check_max_rejected(limit: object) -> object:
    # To Python true is the integer 1.
    is_number = isinstance(limit, int) and not isinstance(limit, bool) and limit >= 0
    if limit is None or is_number or (isinstance(limit, str) and re.fullmatch(PERCENT_PATTERN, limit)):
        return limit
    raise ValueError('must be a number of rows, 0 or more, or a share from "0%" to "100%"')


def _check_encoding(name: str) -> str:
    known = known_name(name)
    if known is None:
        raise ValueError("the encoding is not known; known are, for example, utf-8, cp1252, iso8859-15 and gbk")
    return known


def _without_default(schema: JsonDict) -> None:
    """Leave the default out of the JSON Schema of a field that another field fills in."""
    schema.pop("default", None)


Text = Annotated[str, Field(min_length=1, max_length=1024)]
MaxRejected = Annotated[
    int | str | None,
    BeforeValidator(_check_max_rejected),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": PERCENT_PATTERN}, {"type": "null"}]}
    ),
]
Identifier = Annotated[str, Field(pattern=TABLE_PATTERN, max_length=MAX_TABLE_BYTES)]


class ProcessVectorParameters(JobParameters):
    """Which file, and which table it becomes."""

    dataset_id: Container = Field(description="Container of the file.")
    resource_id: Annotated[BlobName, Field(min_length=1, max_length=1024), AfterValidator(_check_extension)] = Field(
        description="Name of the file's blob in the container, with its folders. Its extension tells the format.",
        examples=["surveys/2024/roads.gpkg"],
    )
    target_table: Annotated[Identifier, BeforeValidator(_check_table)] = Field(
        default="",
        validate_default=False,
        description="Table to load into. By default the file's name without its extension, in lower case, with "
        "underscores for all but letters and digits.",
        examples=["roads"],
        json_schema_extra=_without_default,
    )
    target_schema: Annotated[Identifier, AllowedSchema] = Field(
        default="geo", description="Schema of the table, one of GEOSTAGE_TARGET_SCHEMAS.", examples=["planning"]
    )
    load_method: Literal["replace", "append"] = Field(
        default="replace",
        description="replace: the table is swapped for a new one at once. append: the rows are added to the table, "
        "which is made if it is missing.",
        examples=["append"],
    )
    chunk_size: StrictInt = Field(
        default=10_000,
        ge=1,
        le=100_000,
        description="Rows that one task loads: fewer take less memory, more take fewer tasks.",
        examples=[50_000],
    )
    target_crs: EpsgCode = Field(default="EPSG:4326", description="CRS of the table.", examples=["EPSG:25832"])
    geometry_type: Literal["point", "line", "polygon"] | None = Field(
        default=None,
        description="Which geometries to load from a layer that mixes points, lines and polygons; the others are "
        "rejected rows that max_rejected does not count. Of collections the parts of this kind are loaded. Without it "
        "such a layer fails with mixed_geometries.",
        examples=["polygon"],
    )
    keep_null_geometry: StrictBool = Field(
        default=False,
        description="Load rows without a geometry, with NULL, instead of rejecting them.",
        examples=[True],
    )
    max_rejected: MaxRejected = Field(
        default=None,
        description="Rows that may be rejected before the load fails: a number, or a share of all rows. By default "
        '"1%" with replace, and 0 with append.',
        examples=["5%", 100],
    )
    dry_run: StrictBool = Field(
        default=False,
        description="Read the file and report what a load would do (columns, types, CRS, chunks), but load nothing.",
        examples=[True],
    )
    layer: Text | None = Field(
        default=None,
        description='Which layer of the file, file of an archive, or folder of a KML; "*" loads each of them into '
        "<target_table>__<layer>, all or none.",
        examples=["roads", "*"],
    )
    source_crs: EpsgCode | None = Field(
        default=None,
        description="CRS of the coordinates, whatever the file says.",
        examples=["EPSG:31467", 25832],
    )
    encoding: Annotated[Text, AfterValidator(_check_encoding)] | None = Field(
        default=None,
        description="Encoding of the text of a shapefile, CSV or TSV, for a file that does not tell or is wrong.",
        examples=["cp1252"],
    )
    latitude_column: Text | None = Field(
        default=None,
        description="Column of latitude or y in a CSV or TSV. The same name as longitude_column: one column holds "
        '"lat,lon".',
        examples=["lat"],
    )
    longitude_column: Text | None = Field(
        default=None, description="Column of longitude or x in a CSV or TSV.", examples=["lon"]
    )
    wkt_column: Text | None = Field(
        default=None, description="Column of WKT, EWKT, WKB in hex, or GeoJSON in a CSV or TSV.", examples=["geometry"]
    )

    @model_validator(mode="before")
    @classmethod
    def _name_the_table(cls, data: Any) -> Any:
        """Fill in what depends on other fields, so that the job shows what it will do."""
        if not isinstance(data, dict):
            return data
        # Before the key of the same work is made of the parameters: a default that is spelled out is the same job.
        filled = dict(data)
        resource, method = filled.get("resource_id"), filled.get("load_method", "replace")
        if filled.get("target_table") is None and isinstance(resource, str):
            filled["target_table"] = table_name_of(resource)
        if filled.get("max_rejected") is None and isinstance(method, str):
            filled["max_rejected"] = DEFAULT_MAX_REJECTED.get(method)
        return filled

    @model_validator(mode="after")
    def _not_a_table_of_our_own(self) -> Self:
        if (self.target_schema, self.target_table) in OWN_TABLES:
            raise fault("target_table", f"{self.target_schema}.{self.target_table} is a table of Geostage's own")
        return self


class ProcessVector(Controller):
    """Load a vector file into a PostGIS table. Geometries are repaired and reprojected; rows that cannot be loaded go
    to a table of their own, each with the reason.

    Stages: preprocess (1) -> upload (one per chunk) -> publish (1).
    """

    job_type = "process_vector"
    Parameters = ProcessVectorParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "resource_id": "counties_usa.zip", "target_table": "us_counties"}
    stages = (Stage("preprocess", queue="vector"), Stage("upload", queue="vector"), Stage("publish", queue="vector"))

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        """Name the file."""
        return parameters.dataset_id or "", parameters.resource_id or ""

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Read once; load each chunk that was found; publish what was loaded."""
        if stage.name == "preprocess":
            options = Options.from_json({**job.parameters, "read_options": job.parameters})
            return [TaskSpec("vector_preprocess", options.as_json())]
        if "dry_run" in job.stage_data["preprocess"]:
            return []
        if stage.name == "upload":
            return [
                TaskSpec("vector_upload", UploadTask(load.plan, chunk).as_json())
                for load in _preprocessed(previous[0].result).loads
                for chunk in load.chunks
            ]
        staged = []
        for load in PreprocessResult.from_json(job.stage_data["preprocess"]).loads:
            uploads = [UploadResult.from_json(r.result or {}) for r in previous if r.parameters["plan"] == load.plan]
            totals = row_accounting.add_up(upload.totals for upload in uploads)
            staged.append(StagedLoad(load.plan, len(uploads), totals))
        publish = PublishTask(staged, (job.started_at or job.created_at).isoformat())
        return [TaskSpec("vector_publish", publish.as_json())]

    def stage_data(self, stage: Stage, job: Job, results: Sequence[TaskResult]) -> Json:
        """Return where the plans are, and the figures of the first pass."""
        del job
        if stage.name != "preprocess":
            return {}
        # There may be thousands of chunks, and stage_data is read with every read of the job's row.
        return {"preprocess": _preprocessed(results[0].result).without_chunks().as_json()}

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Return what publish reports, or what a dry run found."""
        found = job.stage_data["preprocess"].get("dry_run")
        result = dict(found or results[0].result or {})
        return JobOutcome(result, warnings=result.pop("warnings", []))


def _preprocessed(result: Json | None) -> PreprocessResult:
    if result and "result_path" in result:
        # A result over 256 KB went to a blob, which controllers do not read.
        raise PermanentError(
            "The file has more layers, or more chunks of rows, than one job can load.",
            remediation='Raise "chunk_size" (up to 100,000), name one "layer" a job, or split the file.',
            code="too_many_chunks",
        )
    return PreprocessResult.from_json(result or {})
