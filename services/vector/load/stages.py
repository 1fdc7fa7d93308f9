"""What the stages of a load hand to one another: parameters and results of its tasks, as values and as JSON. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from repositories.identifiers import fit_name
from repositories.target_table.statements import Table
from schema.jobs import Json
from schema.json_data import JsonData
from services.vector import chunks
from services.vector.chunks import Chunk
from services.vector.load.names import REJECTS_SUFFIX
from services.vector.load.row_accounting import LoadTotals
from services.vector.read_options import ReadOptions


@dataclass(frozen=True)
class Options(JsonData):
    """The job's parameters, as far as the tasks need them."""

    target_schema: str
    target_table: str
    load_method: Literal["replace", "append"] = "replace"
    chunk_size: int = 10_000
    target_crs: str = "EPSG:4326"
    geometry_type: str | None = None
    keep_null_geometry: bool = False
    max_rejected: int | str = "1%"
    dry_run: bool = False
    read_options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def appends(self) -> bool:
        """Whether rows are added to the target, if it exists."""
        return self.load_method == "append"

    @property
    def target(self) -> Table:
        """The table that the job loads."""
        return Table(self.target_schema, self.target_table)

    @property
    def rejects(self) -> Table:
        """The table of the rows that were not loaded."""
        return Table(self.target_schema, fit_name(self.target_table, REJECTS_SUFFIX))


@dataclass(frozen=True)
class PlannedLoad:
    """One table that preprocess has planned."""

    plan: str
    """Blob of the LoadPlan in the work container."""
    rows: int
    layer: str
    original_crs: str
    geometry_types: dict[str, int]
    """Rows by geometry type, as they are in the source."""
    chunks: tuple[Chunk, ...] = ()
    """Empty once the upload tasks have been made of them."""

    def as_json(self) -> Json:
        """Return the load as JSON; without chunks when it has none."""
        # Packed in columns: a result over 256 KB would go to a blob, which controllers do not read.
        packed = {"chunks": chunks.pack(self.chunks)} if self.chunks else {}
        return {
            "plan": self.plan,
            "rows": self.rows,
            "layer": self.layer,
            "original_crs": self.original_crs,
            "geometry_types": self.geometry_types,
            **packed,
        }

    @classmethod
    def from_json(cls, data: Json) -> PlannedLoad:
        """Read what as_json returned."""
        known = {name: data[name] for name in ("plan", "rows", "layer", "original_crs", "geometry_types")}
        return cls(**known, chunks=tuple(chunks.unpack(data["chunks"])) if "chunks" in data else ())


@dataclass(frozen=True)
class PreprocessResult:
    """What preprocess found: loads, or the report of a dry run."""

    loads: tuple[PlannedLoad, ...] = ()
    dry_run: Json | None = None

    def as_json(self) -> Json:
        """Return the result as JSON: the first load's fields, and further loads under "more"."""
        if self.dry_run is not None:
            return {"dry_run": self.dry_run}
        first, *more = [load.as_json() for load in self.loads]
        return {**first, "more": more} if more else first

    @classmethod
    def from_json(cls, data: Json) -> PreprocessResult:
        """Read what as_json returned."""
        if "dry_run" in data:
            return cls(dry_run=data["dry_run"])
        return cls(tuple(PlannedLoad.from_json(load) for load in (data, *data.get("more", []))))

    def without_chunks(self) -> PreprocessResult:
        """Return what later stages need: a job's row should not hold its thousands of chunks."""
        return replace(self, loads=tuple(replace(load, chunks=()) for load in self.loads))


@dataclass(frozen=True)
class UploadTask:
    """The chunk that an upload task loads."""

    plan: str
    """Blob of the LoadPlan in the work container."""
    chunk: Chunk

    def as_json(self) -> Json:
        """Return the parameters as JSON."""
        return {"plan": self.plan, "chunk": self.chunk.as_json()}

    @classmethod
    def from_json(cls, data: Json) -> UploadTask:
        """Read what as_json returned."""
        return cls(data["plan"], Chunk.from_json(data["chunk"]))


@dataclass(frozen=True)
class UploadResult:
    """What an upload task did."""

    totals: LoadTotals
    processing_time_seconds: float

    def as_json(self) -> Json:
        """Return the result as JSON: the fields of the totals, and the time."""
        return {**self.totals.as_json(), "processing_time_seconds": self.processing_time_seconds}

    @classmethod
    def from_json(cls, data: Json) -> UploadResult:
        """Read what as_json returned."""
        return cls(LoadTotals.from_json(data), data["processing_time_seconds"])


@dataclass(frozen=True)
class StagedLoad:
    """A load whose chunks are all in its staging tables."""

    plan: str
    """Blob of the LoadPlan in the work container."""
    chunks: int
    totals: LoadTotals


@dataclass(frozen=True)
class PublishTask:
    """The loads that a publish task shows to readers, all at once."""

    loads: Sequence[StagedLoad]
    started_at: str
    """When the job started, in ISO 8601."""

    def as_json(self) -> Json:
        """Return the parameters as JSON."""
        loads = [{"plan": one.plan, "chunks": one.chunks, "totals": one.totals.as_json()} for one in self.loads]
        return {"loads": loads, "started_at": self.started_at}

    @classmethod
    def from_json(cls, data: Json) -> PublishTask:
        """Read what as_json returned."""
        loads = [StagedLoad(one["plan"], one["chunks"], LoadTotals.from_json(one["totals"])) for one in data["loads"]]
        return cls(loads, data["started_at"])
