"""What the tasks of tiling are given and return: the types between the controller and the handlers. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from schema.jobs import Json
from schema.json_data import JsonData
from services.raster.options import Options

Stats = dict[str, int | float]
"""Seconds by step, and "total"; of tiles also "bytes_read"."""


@dataclass(frozen=True)
class PlanTask(JsonData):
    """The parameters of the task that plans the tiles, or takes a plan over."""

    options: Options
    plan_id: str | None = None
    """A plan to take over; it decides the options."""
    target_tile_size_gb: float | None = None
    version_id: str | None = None
    collection_id: str | None = None
    list_tiles: bool = False
    """Whether the plan is all that is asked for; its tiles are then part of the result, and none is made."""
    only_large: bool = False
    """Whether a raster is refused that one task could process."""


@dataclass(frozen=True, kw_only=True)
class PlanResult(JsonData):
    """The result of that task."""

    plan_id: str
    source: str
    """container/blob."""
    status: str = "planned"
    tile_count: int
    rows: int
    cols: int
    tile_width: int
    tile_height: int
    size_gb: float
    """1e9 bytes of uncompressed pixels."""
    crs: str
    transform: list[float]
    """As TilingPlan has it."""
    width: int
    height: int
    tiles: list[Json] | None = None
    bounds: list[float] | None = None
    """West, south, east, north in the plan's CRS; with bands and dtype None for a plan that was taken over."""
    bands: int | None = None
    dtype: str | None = None
    warnings: list[Json] = field(default_factory=list)
    processing_stats: Stats

    def as_json(self) -> Json:
        """Return the result as JSON, without what it does not have."""
        return {key: value for key, value in super().as_json().items() if value is not None}


@dataclass(frozen=True)
class TileTask(JsonData):
    """The parameters of the task that makes one tile of a plan."""

    plan_id: str
    row: int
    col: int
    version_id: str | None = None
    collection_id: str | None = None


@dataclass(frozen=True)
class TileResult(JsonData):
    """The result of that task."""

    tile_id: str
    row: int
    col: int
    valid_pixels: int
    bytes_read: int
    """Of the source."""
    processing_stats: Stats
    skipped: bool = False
    """None of its pixels is valid, so there is neither file nor item."""
    cog_path: str | None = None
    stac_id: str | None = None


@dataclass(frozen=True)
class TileSums(JsonData):
    """What all tiles add up to."""

    created: int
    skipped: int
    processing_stats: Stats

    @classmethod
    def of(cls, results: Sequence[TileResult]) -> TileSums:
        """Return the sums over the results of all tiles."""
        seconds: Stats = {}
        for result in results:
            for name, value in result.processing_stats.items():
                seconds[name] = round(seconds.get(name, 0.0) + value, 3)
        read = sum(result.bytes_read for result in results)
        skipped = sum(result.skipped for result in results)
        return cls(len(results) - skipped, skipped, {**seconds, "bytes_read": read})


@dataclass(frozen=True)
class CollectTask(JsonData):
    """The parameters of the task that publishes the mosaics and catalogs the tiles."""

    plan_id: str
    processing_stats: dict[str, Stats]
    """Of the plan and of the tiles."""
    version_id: str | None = None
    collection_id: str | None = None
