"""Files in the STAC catalog as they are, and the schema that the catalog lives in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from controllers.base import Container, Controller, JobOutcome, JobParameters
from controllers.jobs.raster import CollectionName
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec
from services.containers.details import Detail
from services.containers.kinds import CATALOGUED, kind_of
from services.stac.ids import collection_id


def _readable(blob: str) -> str:
    if kind_of(blob) not in ("raster", "vector"):
        raise ValueError(f"the extension is not supported; supported are {', '.join(CATALOGUED)}")
    return blob


class FileParameters(JobParameters):
    """Which file, and which collection it belongs to."""

    dataset_id: Container = Field(description="Container of the file.")
    resource_id: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_readable)] = Field(
        description="Name of the file's blob in the container, with its folders: a GeoTIFF, or a file that "
        "process_vector takes.",
        examples=["surveys/2024/roads.gpkg"],
    )
    collection_id: CollectionName = None


class FileController(Controller):
    """A job of one task on one file of any kind."""

    Parameters = FileParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "resource_id": "countries.gpkg"}

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        """Name the file."""
        return parameters.dataset_id or "", parameters.resource_id or ""

    def collection_of(self, job: Job) -> str:
        """Give the collection that the file belongs to."""
        return collection_id(job.parameters["dataset_id"], job.parameters["collection_id"])

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """The job's result is its task's."""
        del job
        return JobOutcome(dict(results[0].result or {}))


class CatalogFile(FileController):
    """Catalogue a file by its header, or by one pass over its rows where the format has none."""

    job_type = "catalog_file"
    stages = (Stage("catalog", queue="vector"),)
    detail: ClassVar[Detail] = "header"

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """One task."""
        del stage, previous
        return [TaskSpec("catalog_file", {"collection_id": self.collection_of(job), "detail": self.detail})]


class StacItemQuick(CatalogFile):
    """Catalogue a file by what storage says of it; the file is not opened."""

    job_type = "stac_item_quick"
    detail = "quick"


class StacItemFull(CatalogFile):
    """Catalogue a file by all of its data, with statistics and a checksum."""

    job_type = "stac_item_full"
    detail = "full"


class StacItemSmart(CatalogFile):
    """Catalogue a file by all of its data, but a raster of more than 64 MB by its header."""

    job_type = "stac_item_smart"
    detail = "smart"


class ExtractMetadata(FileController):
    """Report what a file says about itself and where it lies; nothing is written."""

    job_type = "extract_metadata"
    stages = (Stage("execute", queue="vector"),)

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """One task."""
        del stage, previous
        return [TaskSpec("extract_metadata", {"collection_id": self.collection_of(job)})]


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
