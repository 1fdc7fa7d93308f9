"""What the stages of sync_container hand to each other. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from schema.jobs import Json
from schema.json_data import JsonData


@dataclass(frozen=True)
class CompareTask(JsonData):
    """Which part of a container is compared with which collection: parameters of the first task."""

    container: str
    prefix: str
    """Of the blobs' names; empty for the whole container."""
    collection_id: str


# Not frozen: it is counted up blob by blob.
@dataclass
class BlobCounts:
    """Blobs of a container, counted as they are compared with the catalog."""

    blobs: int = 0
    rasters: int = 0
    vectors: int = 0
    ignored: int = 0
    unchanged: int = 0
    new: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Comparison(JsonData):
    """Result of the task that compares container and catalog."""

    prefix: str
    """Of the blobs that it wrote to the work container; includes the attempt."""
    batches: int
    """Blobs that hold files to be cataloged."""
    missing: int
    """Items whose blobs are gone."""
    missing_parts: int
    """Blobs that list those items."""
    found: BlobCounts


@dataclass(frozen=True)
class BatchTask(JsonData):
    """Parameters of a task that catalogs a batch of files."""

    batch: str
    """The blob of the work container that lists them."""
    collection_id: str


@dataclass(frozen=True)
class BatchResult(JsonData):
    """Result of that task."""

    catalogued: int
    failed: int
    failed_blob: str | None
    """The blob of the work container that lists the files that failed; None if none did."""


@dataclass(frozen=True)
class FailedBatch(JsonData):
    """A batch whose task failed: all of its files are reported."""

    batch: str
    """The blob that lists them."""
    code: str = ""
    message: str = ""
    remediation: str = ""


@dataclass(frozen=True)
class CatalogedBatches(JsonData):
    """What all batches add up to, which the last stage reports."""

    catalogued: int
    batches: int
    failed_batches: int


@dataclass(frozen=True)
class ReportTask(JsonData):
    """Parameters of the task that reports what failed and what is gone, and removes the latter on request."""

    container: str
    collection_id: str
    prefix: str
    """That of the Comparison."""
    missing_parts: int
    failed_blobs: tuple[str, ...]
    failed_batches: tuple[FailedBatch, ...]
    remove_missing: bool


@dataclass(frozen=True)
class Report(JsonData):
    """Result of that task: the number of each kind of entry, and the first of them."""

    failed: int
    failed_files: list[Json]
    missing_items: list[Json]
    removed: int
    report_path: str | None
    """The blob that has all entries; None if they all stand here."""
