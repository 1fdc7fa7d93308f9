"""Details: how thoroughly a file is read for its record. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schema.json_data import JsonData
from services.containers.kinds import Kind

Detail = Literal["quick", "header", "smart", "full"]
"""quick: what storage says. header: what the file's header says. full: all of its data. smart: one of the last two."""
_ORDER = ("quick", "header", "full")
SMART_BYTES = 64 * 10**6
"""A larger raster is not read as a whole for a smart record."""


@dataclass(frozen=True)
class FileTask(JsonData):
    """The parameters of a task on the job's file."""

    collection_id: str


@dataclass(frozen=True)
class CatalogTask(FileTask):
    """The parameters of a task that catalogs it."""

    detail: Detail


def effective(detail: Detail, kind: Kind, size: int, smart_bytes: int = SMART_BYTES) -> Detail:
    """Return the detail that a file is read in: for smart by its kind and size, else as asked."""
    if detail != "smart":
        return detail
    return "header" if kind == "raster" and size > smart_bytes else "full"


def rank(detail: str) -> int:
    """Return the place of a detail in the order of how much it tells; -1 for an unknown one."""
    return _ORDER.index(detail) if detail in _ORDER else -1
