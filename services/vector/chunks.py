"""Chunks: which rows of the source one upload task loads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

from schema.jobs import Json


@dataclass(frozen=True)
class FilePart:
    """A range of bytes of a CSV file that begins and ends where rows do."""

    begin: int
    """Byte offset; the part at 0 begins with the header."""
    end: int
    """Byte offset behind the last row."""
    first_row: int
    """0-based number of the first row."""


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of the source."""

    first_row: int
    """1-based row number in the source."""
    rows: int
    first_fid: int
    """The reader's own number of the first row; with `last_fid` it finds the rows again, and proves that it did."""
    last_fid: int
    blob: str | None = None
    """The rows themselves in the work container, for formats that can only be read from the front."""
    part: FilePart | None = None
    """Where a CSV file holds the rows, and perhaps others."""

    def as_json(self) -> Json:
        """Return the chunk as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Json) -> Chunk:
        """Read what as_json returned."""
        return cls(**{**data, "part": data["part"] and FilePart(**data["part"])})


def pack(chunks: Sequence[Chunk]) -> Json:
    """Return chunks as one JSON object of columns.

    A task's result is a row of its job up to 256 KB: names that are written once, and not for every chunk, leave room
    for twice as many chunks.
    """
    columns: dict[str, list[Any]] = {
        field.name: [getattr(chunk, field.name) for chunk in chunks] for field in fields(Chunk)
    }
    return {**columns, "part": [part and astuple(part) for part in columns["part"]]}


def unpack(columns: Json) -> list[Chunk]:
    """Read what pack returned."""
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return [Chunk(**{**row, "part": row["part"] and FilePart(*row["part"])}) for row in rows]
