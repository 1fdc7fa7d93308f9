"""What the stages of sync_container hand to each other: frozen, and JSON in between."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from schema.jobs import Json


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
class Comparison:
    """Result of the task that compares container and catalog."""

    prefix: str
    """Of the blobs that it wrote to the work container; includes the attempt."""
    batches: int
    """Blobs that hold files to be cataloged."""
    missing: int
    """Items whose blobs are gone."""
    found: BlobCounts

    def as_json(self) -> Json:
        """Return the comparison as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Comparison:
        """Return the comparison that as_json wrote."""
        return cls(**{**data, "found": BlobCounts(**data["found"])})


@dataclass(frozen=True)
class BatchResult:
    """Result of a task that catalogs a batch."""

    catalogued: int
    failed: int
    failed_blob: str | None
    """The blob of the work container that lists the files that failed; None if none did."""

    def as_json(self) -> Json:
        """Return the result as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> BatchResult:
        """Return the result that as_json wrote."""
        return cls(**data)


@dataclass(frozen=True)
class FailedBatch:
    """A batch whose task failed: all of its files are reported."""

    batch: str
    """The blob that lists them."""
    code: str
    message: str
    remediation: str

    def as_json(self) -> Json:
        """Return the batch as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> FailedBatch:
        """Return the batch that as_json wrote."""
        return cls(**data)
