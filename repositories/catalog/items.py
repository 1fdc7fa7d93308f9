"""Items and collections of pgSTAC as searches and exports read them; nothing in here writes."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import errors, sql
from psycopg.rows import DictRow, dict_row

from repositories.postgres import Connection, Database, Statements
from schema.errors import PermanentError, TransientError
from schema.jobs import Json

LOCK_SECONDS = 3
PATIENT_LOCK_SECONDS = 10
FETCH = 50
"""Rows that a cursor of the server brings at once: items may be large."""
Statement = sql.SQL | sql.Composed
_sql = Statements("catalog/items")


class SlowQuestion(TransientError):
    """A statement exceeded its time limit."""

    code = "question_too_slow"


class TableLocked(PermanentError):
    """Another transaction has locked a table. The engine does not retry it; the caller may submit the job again."""

    # Three attempts that each waited 10 s for the lock took a minute to give the same answer.

    code = "table_locked"
    category = "transient"
    retryable = True


@dataclass(frozen=True)
class Filters:
    """Conditions on items; None: any."""

    collection: str | None = None
    area: str | None = None
    """GeoJSON text of a geometry, EPSG:4326."""
    earliest: str | None = None
    latest: str | None = None
    """Timestamps, inclusive; both or neither."""
    longitude: float | None = None
    latitude: float | None = None
    distance: float | None = None
    """Metres around the point. The three are given together; then the nearest items come first."""


@dataclass(frozen=True)
class After:
    """The sort key of the last item of the page before."""

    key: str | float
    """A timestamp as PostgreSQL writes it, or metres."""
    collection: str
    item: str


@contextmanager
def reading(
    database: Database,
    seconds: float,
    *,
    snapshot: bool = False,
    fail_on_lock: bool = False,
    lock_seconds: float | None = None,
) -> Iterator[Connection]:
    """Open a read-only transaction whose statements run no longer than `seconds`.

    With `snapshot` all of its statements see the database as it was at the first. With `fail_on_lock` the absence of a
    lock is the answer, for requests about the tables themselves; otherwise the request is retried, because whoever
    locks a partition of the catalogue is mostly a job that ends soon. `lock_seconds` is how long a lock is waited for:
    by default LOCK_SECONDS with `fail_on_lock`, else PATIENT_LOCK_SECONDS.

    Raises
    ------
    SlowQuestion
        A statement ran longer than `seconds`.
    TransientError
        database_busy: a table stayed locked for `lock_seconds`.
    TableLocked
        With `fail_on_lock`: likewise.
    """
    # Whoever locks a user's table may hold it for long; a partition of the catalogue is mostly free again soon.
    if lock_seconds is None:
        lock_seconds = LOCK_SECONDS if fail_on_lock else PATIENT_LOCK_SECONDS
    with database.transaction() as conn:
        if snapshot:
            _sql.run(conn, "use_snapshot")
        _sql.run(conn, "begin_reading", statement_ms=str(int(seconds * 1000)), lock_ms=str(int(lock_seconds * 1000)))
        try:
            yield conn
        except errors.QueryCanceled as exc:
            raise SlowQuestion(
                f"The database did not answer within {seconds:g} s.",
                remediation="It is retried automatically. If it keeps failing, ask for less: "
                "one collection, a smaller area or distance, a shorter interval.",
            ) from exc
        except errors.LockNotAvailable as exc:
            if not fail_on_lock:
                raise
            raise TableLocked(
                f"A table that was to be read could not be locked within {lock_seconds:g} s.",
                remediation="Submit the job again when the transaction that locks it has ended; database_health shows "
                "the longest one.",
            ) from exc


def search(conn: Connection, filters: Filters, *, after: After | None, limit: int) -> Generator[DictRow]:
    """Return items, newest or nearest first: collection, id, key, item. Close it when enough were read."""
    by = "time" if filters.distance is None else "distance"
    key = _sql[f"key_of_{by}"]
    conditions = _conditions(filters)
    params: dict[str, Any] = {**asdict(filters), "limit": limit}
    if after:
        conditions.append(_sql[f"after_{by}"].format(key=key))
        params |= {"key": after.key, "after_collection": after.collection, "after_id": after.item}
    statement = _sql["search"].format(
        item=_item(), key=key, conditions=sql.SQL(" AND ").join(conditions), order=_sql[f"order_by_{by}"]
    )
    yield from _stream(conn, "search", statement, params)


def why_invalid(conn: Connection, area: str) -> str | None:
    """Return why a GeoJSON geometry is not valid, None if it is."""
    row = _sql.first(conn, "why_invalid", area=area)
    return row["reason"] if row else None


def find_collection(conn: Connection, collection_id: str) -> DictRow | None:
    """Return a collection's record and pgSTAC's own key of it, None if there is none."""
    return _sql.first(conn, "find_collection", collection=collection_id)


def list_collection_ids(conn: Connection, limit: int) -> list[str]:
    return [row["id"] for row in _sql.rows(conn, "list_collection_ids", limit=limit)]


def list_collections(conn: Connection, *, after: str | None, limit: int) -> Generator[DictRow]:
    """Return collections in the order of their ids: id, content."""
    yield from _stream(conn, "collections", _sql["list_collections"], {"after_id": after, "limit": limit})


def count_items(conn: Connection, collection_ids: Sequence[str]) -> dict[str, Json]:
    """Count the items of collections, with the interval of their datetimes; collections without items are left out."""
    rows = _sql.rows(conn, "count_items", collections=list(collection_ids))
    return {row.pop("collection"): row for row in rows}


def measure_collection(conn: Connection, key: str) -> Json:
    """Return partitions and bytes on disk of a collection, by pgSTAC's own key of it."""
    return _sql.first(conn, "measure_collection", key=key) or {}


def export(conn: Connection, filters: Filters) -> Generator[DictRow]:
    """Return all items that meet the filters, by collection and id: item, its geometry as WKB, its bounds."""
    statement = _sql["export"].format(item=_item(), conditions=sql.SQL(" AND ").join(_conditions(filters)))
    yield from _stream(conn, "export", statement, asdict(filters))


def export_collections(conn: Connection, collection_id: str | None) -> Iterator[Json]:
    """Return all collections, or one."""
    rows = _stream(conn, "export_collections", _sql["export_collections"], {"collection": collection_id})
    return (row["content"] for row in rows)


def _item() -> sql.Composed:
    return _sql["whole_item"].format()


def _conditions(filters: Filters) -> list[Statement]:
    # Only the conditions that apply: with "or it is NULL" for each, one plan would have to serve every search.
    chosen: list[Statement] = [
        _sql[name]
        for name, wanted in (
            ("in_collection", filters.collection),
            ("in_area", filters.area),
            ("in_time", filters.earliest),
        )
        if wanted is not None
    ]
    if filters.distance is not None:
        chosen.append(_sql["within_distance"].format(key=_sql["key_of_distance"]))
    return chosen or [_sql["any_item"]]


def _stream(conn: Connection, name: str, statement: Statement, params: dict[str, Any]) -> Iterator[DictRow]:
    # A cursor of the server: psycopg would otherwise hold the whole result in memory before the first row.
    with conn.cursor(f"geostage_{name}", row_factory=dict_row) as cursor:
        cursor.itersize = FETCH
        cursor.execute(statement, params)
        yield from cursor
