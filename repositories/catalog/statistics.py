"""Statistics of the catalogue: items by collection, date, file type and CRS; read only."""

from __future__ import annotations

from typing import Literal

from repositories.postgres import Connection, Statements
from schema.jobs import Json

Aspect = Literal["by_collection", "by_date", "by_file_type", "by_crs"]
ASPECTS: tuple[Aspect, ...] = ("by_collection", "by_date", "by_file_type", "by_crs")
_sql = Statements("catalog/statistics")


def count(conn: Connection, aspect: Aspect, *, collection_id: str | None, limit: int) -> list[Json]:
    """Count items by one aspect, the most frequent first: name, items, and what else the aspect has."""
    return _sql.rows(conn, aspect, collection=collection_id, limit=limit)
