"""What the tasks of tiling are given and return: the types between the controller and the handlers. Pure."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from schema.jobs import Json


@dataclass(frozen=True)
class TileTask:
    """The parameters of the task that makes one tile of a plan."""

    plan_id: str
    row: int
    col: int
    version_id: str | None = None
    collection_id: str | None = None

    def as_json(self) -> Json:
        return {key: value for key, value in asdict(self).items() if value is not None}

    @classmethod
    def from_json(cls, data: Json) -> TileTask:
        return cls(**data)


@dataclass(frozen=True)
class TileResult:
    """The result of that task."""

    tile_id: str
    row: int
    col: int
    valid_pixels: int
    bytes_read: int
    """Of the source."""
    processing_stats: dict[str, float]
    """Seconds by step, and "total"."""
    skipped: bool = False
    """None of its pixels is valid, so there is neither file nor item."""
    cog_path: str | None = None
    stac_id: str | None = None

    def as_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> TileResult:
        return cls(**data)
