"""Files in the STAC catalogue as they are, and the schema that the catalogue lives in."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from controllers.base import BlobName, Container, JobParameters, SingleTask
from controllers.jobs.raster import CollectionName
from schema.jobs import Job, Json, Source, Stage
from services.containers.details import CatalogTask, Detail, FileTask
from services.containers.kinds import CATALOGUED, kind_of
from services.content_encoding import check_encoding
from services.stac.ids import collection_id


def _readable(blob: str) -> str:
    if kind_of(blob) not in ("raster", "vector"):
        raise ValueError(f"the extension is not supported; supported are {', '.join(CATALOGUED)}")
    return blob


class FileParameters(JobParameters):
    """Which file, and which collection it belongs to."""

    dataset_id: Container = Field(description="Container of the file.")
    resource_id: Annotated[BlobName, Field(min_length=1, max_length=1024), AfterValidator(_readable)] = Field(
        description="Name of the file's blob in the container, with its folders: a GeoTIFF, or a file that "
        "process_vector takes.",
        examples=["surveys/2024/roads.gpkg"],
    )
    collection_id: CollectionName = None


class FileController(SingleTask):
    """A job of one task on one file of any kind."""

    Parameters = FileParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "resource_id": "countries.gpkg"}

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        """Name the file."""
        return parameters.dataset_id or "", parameters.resource_id or ""

    def check_source(self, source: Source) -> None:
        check_encoding(source, by_ranges=kind_of(source.blob) == "raster")

    def task_parameters(self, job: Job) -> Json:
        return FileTask(_collection_of(job)).as_json()


def _collection_of(job: Job) -> str:
    return collection_id(job.parameters["dataset_id"], job.parameters["collection_id"])


class CatalogFile(FileController):
    """Add a file to the STAC catalogue, with its extent, CRS, and bands or layers. Only the header of a raster is read;
    a vector file is read once.
    """

    job_type = "catalog_file"
    task_type = "catalog_file"
    stages = (Stage("catalog", queue="vector"),)
    detail: ClassVar[Detail] = "header"

    def task_parameters(self, job: Job) -> Json:
        return CatalogTask(_collection_of(job), self.detail).as_json()


class StacItemQuick(CatalogFile):
    """Add a file to the STAC catalogue with what storage knows of it: size, time and content type. It is not opened."""

    job_type = "stac_item_quick"
    detail = "quick"

    def check_source(self, source: Source) -> None:
        """Accept any blob: it is not opened."""


class StacItemFull(CatalogFile):
    """Add a file to the STAC catalogue with statistics and a checksum, for which all of its data are read."""

    job_type = "stac_item_full"
    detail = "full"


class StacItemSmart(CatalogFile):
    """Add a file to the STAC catalogue as stac_item_full does, but a raster of more than 64 MB as catalog_file does."""

    job_type = "stac_item_smart"
    detail = "smart"


class ExtractMetadata(FileController):
    """Report the extent, CRS, and bands or layers of a file, as catalog_file would. Nothing is written."""

    job_type = "extract_metadata"
    stages = (Stage("execute", queue="vector"),)


class SetupStacGeoSchema(SingleTask):
    """Bring the database up to date: apply the migrations of Geostage and pgSTAC that it does not have yet."""

    job_type = "setup_stac_geo_schema"
    # In a child process: pgSTAC's package sets JSON for all of psycopg while it is imported.
    stages = (Stage("execute", queue="vector"),)
