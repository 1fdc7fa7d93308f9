"""catalog_file and its forms: a file as it is gets its record in the catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from controllers.base import Controller, JobOutcome, JobParameters
from controllers.raster_parameters import COLLECTION_PATTERN
from schema.jobs import Job, Source, Stage, TaskResult, TaskSpec
from services.containers.details import Detail
from services.containers.kinds import CATALOGUED, kind_of
from services.content_encoding import check_encoding
from services.raster.names import collection_id


def _readable(blob: str) -> str:
    if kind_of(blob) not in ("raster", "vector"):
        raise ValueError(f"the extension is not supported; supported are {', '.join(CATALOGUED)}")
    return blob


class FileParameters(JobParameters):
    """Which file, and which collection it belongs to."""

    dataset_id: str = Field(min_length=1, max_length=63, description="Container of the file.")
    resource_id: Annotated[str, Field(min_length=1, max_length=1024), AfterValidator(_readable)] = Field(
        description="The file's full name in its container: a GeoTIFF, or a file that process_vector takes."
    )
    collection_id: str | None = Field(
        default=None, pattern=COLLECTION_PATTERN, description="By default made of dataset_id."
    )


class FileController(Controller):
    """A job of one task on one file of any kind."""

    Parameters = FileParameters

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        """Name the file."""
        return parameters.dataset_id or "", parameters.resource_id or ""

    def check_source(self, source: Source) -> None:
        """Raise PermanentError for a Content-Encoding that files of its kind cannot have."""
        check_encoding(source, by_ranges=kind_of(source.blob) == "raster")

    def collection_of(self, job: Job) -> str:
        """Give the collection that the file belongs to."""
        return collection_id(job.parameters["dataset_id"], job.parameters["collection_id"])

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """The job's result is its task's."""
        del job
        return JobOutcome(dict(results[0].result or {}))


class CatalogFile(FileController):
    """catalog (1): what the file's header says, or for formats without one a pass over its rows."""

    job_type = "catalog_file"
    stages = (Stage("catalog", queue="vector"),)
    detail: ClassVar[Detail] = "header"

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """One task."""
        del stage, previous
        return [TaskSpec("catalog_file", {"collection_id": self.collection_of(job), "detail": self.detail})]


class StacItemQuick(CatalogFile):
    """catalog (1): what storage says of the file, which is not opened."""

    job_type = "stac_item_quick"
    detail = "quick"

    def check_source(self, source: Source) -> None:
        """Take whatever blob there is."""


class StacItemFull(CatalogFile):
    """catalog (1): the file is read as a whole, with statistics and checksum."""

    job_type = "stac_item_full"
    detail = "full"


class StacItemSmart(CatalogFile):
    """catalog (1): as a whole, but of a large raster the header alone."""

    job_type = "stac_item_smart"
    detail = "smart"
