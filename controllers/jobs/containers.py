"""Containers: listed, and brought into the STAC catalogue."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, ClassVar

from pydantic import Field, StrictBool, StrictInt

from controllers.base import Container, Controller, JobOutcome, JobParameters
from controllers.jobs.raster import CollectionName
from schema.jobs import Job, JobStatus, Json, Stage, TaskResult, TaskSpec, TaskStatus
from services.containers.batches import batch_blob
from services.containers.listing import Folders, FoldersTask, Listing, ListTask, Summary
from services.containers.sync import (
    BatchResult,
    BatchTask,
    CatalogedBatches,
    CompareTask,
    Comparison,
    FailedBatch,
    Report,
    ReportTask,
)
from services.stac.ids import collection_id

INLINE_BYTES = 120_000
"""What the list may take of the job's result, whose limit is twice as much."""
Affix = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00-\x1f]*$")]


class ListContainerParameters(JobParameters):
    """Which blobs of which container."""

    dataset_id: Container = Field(description="The container to list.")
    prefix: Affix = Field(
        default="", description="List only blobs whose names begin with this.", examples=["surveys/2024/"]
    )
    suffix: Affix | None = Field(
        default=None, description="List only blobs whose names end with this; case is ignored.", examples=[".tif"]
    )
    limit: StrictInt | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="List at most this many blobs, in the order of their names; the summary covers only these.",
        examples=[1000],
    )


class ListContainer(Controller):
    """List the blobs of a container, with their number, total size and kinds of files.

    Stages: prefixes (1) -> list (one per first-level prefix, one for the root).
    """

    job_type = "list_container"
    Parameters = ListContainerParameters
    example: ClassVar[Json] = {"dataset_id": "bronze", "suffix": ".tif"}
    stages = (Stage("prefixes"), Stage("list"))

    def container(self, parameters: JobParameters) -> str | None:
        """Name the container."""
        return parameters.dataset_id

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Look for folders; then go through the root and each folder, or through all at once."""
        container, prefix, limit = (job.parameters[key] for key in ("dataset_id", "prefix", "limit"))
        if stage.name == "prefixes":
            return [TaskSpec("container_prefixes", FoldersTask(container, prefix, limit).as_json())]
        # None: too many folders, or a limit, which only one task that lists all of them in order can keep.
        folders = Folders.from_json(previous[0].result).folders
        shares = [(prefix, folders is None), *((folder, True) for folder in folders or ())]
        tasks = [
            ListTask(container, share, job.parameters["suffix"], limit, deep, INLINE_BYTES // len(shares))
            for share, deep in shares
        ]
        return [TaskSpec("container_list", task.as_json()) for task in tasks]

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Add the shares up. `files` and the lists in the blobs of `more_files` are the whole list together."""
        whole = Listing(Summary(), [], [])
        for share in (Listing.from_json(result.result or {}) for result in results):
            whole.summary.join(share.summary)
            whole.files.extend(share.files)
            whole.more_files.extend(share.more_files)
        whole.files.sort(key=lambda file: str(file["name"]))
        asked = {key: job.parameters[key] for key in ("dataset_id", "prefix", "suffix", "limit")}
        return JobOutcome({**asked, **whole.as_json()})


EVERYTHING = "all"
WARNINGS = {
    "failed": {
        "code": "files_not_catalogued",
        "message": "Files could not be read; failed_files lists each with the reason.",
    },
    "missing": {
        "code": "blobs_gone",
        "message": "The catalogue has items of files that no longer exist; missing_items lists them.",
    },
}
"""By the figure of the summary that each counts."""


class SyncContainerParameters(JobParameters):
    """Which part of which container, and what becomes of items whose files are gone."""

    dataset_id: Container = Field(description="The container to catalogue.")
    resource_id: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^[^\x00-\x1f]*$")] = Field(
        default=EVERYTHING,
        description='Catalogue only files whose names begin with this; "all" means the whole container.',
        examples=["surveys/2024/"],
    )
    remove_missing: StrictBool = Field(
        default=False,
        description="Remove the items of files that no longer exist; without it they are only listed.",
        examples=[True],
    )
    collection_id: CollectionName = None


class SyncContainer(Controller):
    """Add the raster and vector files of a container that are new or changed to the STAC catalogue, and report or
    remove the items of files that are gone.

    Stages: list (1) -> catalog (one per batch of files) -> summarise (1).
    """

    job_type = "sync_container"
    Parameters = SyncContainerParameters
    example: ClassVar[Json] = {"dataset_id": "bronze"}
    # A batch that fails stops no other: each writes its own items, and the report names the batch. On the vector queue
    # for rasters too, whose headers are read in moments: behind raster jobs they would wait for minutes.
    stages = (Stage("list"), Stage("catalog", queue="vector", on_failure="finish_all"), Stage("summarise"))

    def container(self, parameters: JobParameters) -> str | None:
        """Name the container."""
        return parameters.dataset_id

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Compare; catalogue what is new or changed; then report, and remove what is gone."""
        scope = _scope(job.parameters)
        if stage.name == "list":
            return [TaskSpec("sync_list", scope.as_json())]
        listed = Comparison.from_json(job.stage_data["list"])
        if stage.name == "catalog":
            blobs = [batch_blob(listed.prefix, number) for number in range(1, listed.batches + 1)]
            return [TaskSpec("sync_catalog", BatchTask(blob, scope.collection_id).as_json()) for blob in blobs]
        done = [BatchResult.from_json(result.result) for result in previous if result.result]
        report = ReportTask(
            container=scope.container,
            collection_id=scope.collection_id,
            prefix=listed.prefix,
            missing_parts=listed.missing_parts,
            failed_blobs=tuple(found.failed_blob for found in done if found.failed_blob),
            failed_batches=tuple(_failed(result) for result in previous if result.status is not TaskStatus.COMPLETED),
            remove_missing=job.parameters["remove_missing"],
        )
        return [TaskSpec("sync_summarise", report.as_json())]

    def stage_data(self, stage: Stage, job: Job, results: Sequence[TaskResult]) -> Json:
        """Hand on what was found, then what was done."""
        del job
        if stage.name == "list":
            return {"list": Comparison.from_json(results[0].result).as_json()}
        if stage.name != "catalog":
            return {}
        catalogued = sum(BatchResult.from_json(result.result).catalogued for result in results if result.result)
        failed = sum(result.status is not TaskStatus.COMPLETED for result in results)
        return {"catalog": CatalogedBatches(catalogued, len(results), failed).as_json()}

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Put the figures of all stages together. Files that cannot be read are entries; only a batch is a failure."""
        listed = Comparison.from_json(job.stage_data["list"])
        done = CatalogedBatches.from_json(job.stage_data["catalog"])
        report = Report.from_json(results[0].result)
        summary = {
            **asdict(listed.found),
            **done.as_json(),
            "failed": report.failed,
            "missing": listed.missing,
            "removed": report.removed,
        }
        asked = {key: job.parameters[key] for key in ("dataset_id", "resource_id")}
        left = {"failed": report.failed, "missing": listed.missing - report.removed}
        warnings = [{**WARNINGS[key], "count": count} for key, count in left.items() if count]
        shown = {key: getattr(report, key) for key in ("failed_files", "missing_items", "report_path")}
        status = JobStatus.COMPLETED_WITH_ERRORS if done.failed_batches else JobStatus.COMPLETED
        result = {**asked, "collection_id": _scope(job.parameters).collection_id, "summary": summary, **shown}
        return JobOutcome(result, status, warnings)


def _scope(parameters: Json) -> CompareTask:
    wanted = parameters["resource_id"]
    return CompareTask(
        container=parameters["dataset_id"],
        prefix="" if wanted == EVERYTHING else wanted,
        collection_id=collection_id(parameters["dataset_id"], parameters["collection_id"]),
    )


def _failed(result: TaskResult) -> FailedBatch:
    return FailedBatch.from_json({**(result.error or {}), "batch": BatchTask.from_json(result.parameters).batch})
