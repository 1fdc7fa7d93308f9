"""list_container: what lies in a container, added up and listed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field, StrictInt

from controllers.base import Container, Controller, JobOutcome, JobParameters
from schema.jobs import Job, Json, Stage, TaskResult, TaskSpec
from services.containers.listing import Summary

INLINE_BYTES = 120_000
"""What the list may take of the job's result, whose limit is twice as much."""
Affix = Annotated[str, Field(max_length=1024, pattern=r"^[^\x00-\x1f]*$")]


class ListContainerParameters(JobParameters):
    """Which blobs of which container."""

    dataset_id: Container = Field(description="The container to list.")
    prefix: Affix = Field(default="", description="List only blobs whose names begin so.", examples=["surveys/2024/"])
    suffix: Affix | None = Field(
        default=None, description="List only blobs whose names end so, in upper or lower case.", examples=[".tif"]
    )
    limit: StrictInt | None = Field(
        default=None,
        ge=1,
        le=10_000_000,
        description="List only so many blobs, the first by name; the summary is about them.",
        examples=[1000],
    )


class ListContainer(Controller):
    """List the blobs of a container, and add them up.

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
        wanted = job.parameters
        named = {"container": wanted["dataset_id"], "prefix": wanted["prefix"], "limit": wanted["limit"]}
        if stage.name == "prefixes":
            return [TaskSpec("container_prefixes", named)]
        folders = (previous[0].result or {})["folders"]
        shares = [(wanted["prefix"], folders is None), *((folder, True) for folder in folders or ())]
        given = {"suffix": wanted["suffix"], "inline_bytes": INLINE_BYTES // len(shares)}
        return [
            TaskSpec("container_list", {**named, **given, "prefix": prefix, "deep": deep}) for prefix, deep in shares
        ]

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """Add the shares up. `files` and the lists in the blobs of `more_files` are the whole list together."""
        summary, files, more = Summary(), [], []
        for result in results:
            found: Json = result.result or {}
            summary.join(Summary.from_json(found["summary"]))
            files += found["files"]
            more += found["more_files"]
        asked = {key: job.parameters[key] for key in ("dataset_id", "prefix", "suffix", "limit")}
        files.sort(key=lambda file: str(file["name"]))
        return JobOutcome({**asked, "summary": summary.as_json(), "files": files, "more_files": more})
