"""The STAC catalogue: collections and items written to pgSTAC."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import DictRow
from psycopg.types.json import Jsonb

from repositories.postgres import Connection, DatabaseNotMigrated, Statements
from schema.errors import TransientError
from schema.jobs import Json

ROUNDS = 6
PAUSE_SECONDS = 0.1
"""Doubled with each round."""
_RETRIED = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.CheckViolation,
    psycopg.errors.UniqueViolation,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
    # pgSTAC looks up a partition that another transaction had created and rolled back.
    psycopg.errors.UndefinedTable,
)
"""What pgSTAC raises while another writer changes a partition. Our own writers take turns; others may not."""
_sql = Statements("catalog/catalog")
_PAGE = 1_000
_NOWHERE: Json = {"type": "Polygon", "coordinates": []}
"""Stands for an unknown place, which is null in STAC: pgSTAC's column is NOT NULL. RFC 7946, 3.1 allows readers to take
it for null, and no search for an area finds it."""


@dataclass(frozen=True)
class CatalogedBlob:
    """An item that describes a blob as it is."""

    item_id: str
    blob: str
    etag: str
    """Of the blob, when the item was made."""


@dataclass(frozen=True)
class ItemOutput:
    """An item of an output that was made from a source, with the link to its data."""

    collection_id: str
    item_id: str
    href: str


@dataclass(frozen=True)
class ItemOwner:
    """The file that an existing item belongs to."""

    source: str
    """container/blob."""
    href: str
    is_source: bool
    """The item describes the source itself, not an output made from it."""


@dataclass(frozen=True)
class Reach:
    """The box and interval of an item, or of several items together."""

    box: tuple[float, float, float, float] | None
    """West, south, east, north in degrees; west > east across the antimeridian. None: the place is not known."""
    first: datetime | None
    last: datetime | None


@dataclass(frozen=True)
class Extents:
    """Functions that compute extents of collections; they are passed in because the rules belong to services."""

    grown: Callable[[Json, Json], Json]
    """Returns the extent that covers an item too."""
    is_loose: Callable[[Json, Reach, Reach | None], bool]
    """Whether an extent may be too large when an item lies elsewhere than before; None: it is gone."""
    measured: Callable[[Json, Iterable[Reach]], Json]
    """Returns the extent of all items."""


class CatalogBusy(TransientError):
    """pgSTAC refused a write in every round."""

    code = "catalog_busy"


def upsert_items(
    conn: Connection,
    items: list[Json],
    extents: Extents,
    collection: Json,
    check: Callable[[Connection], None] | None = None,
) -> None:
    """Insert or replace items of one collection in the open transaction; create the collection if it is missing.

    The catalogue stays locked until the transaction ends, so call it last.

    Parameters
    ----------
    conn
        In a transaction. Each round is a savepoint: a failed one leaves nothing.
    items
        Of one collection.
    extents
        How the collection's extent follows its items.
    collection
        What a missing collection becomes.
    check
        Called while nobody else writes; may raise to refuse the items.

    Raises
    ------
    CatalogBusy
        Other writers to pgSTAC were in the way in each of six rounds.
    """
    _in_rounds(conn, lambda: _upsert(conn, items, extents, collection, check))


def get_collection(conn: Connection, collection_id: str) -> Json | None:
    """Return a collection as pgSTAC stores it, None if there is none."""
    row = _sql.first(conn, "get_collection", collection=collection_id)
    return row["content"] if row else None


def find_sources(conn: Connection, collection_id: str, container: str, ids: Sequence[str]) -> dict[str, Json]:
    """Return {etag, detail} by id of the items that exist and describe blobs of a container."""
    given = {"collection": collection_id, "container": container, "ids": list(ids)}
    with _migrated():
        return {row["id"]: dict(row) for row in _sql.rows(conn, "find_sources", **given)}


def sources(conn: Connection, collection_id: str, container: str, prefix: str) -> Iterator[CatalogedBlob]:
    """Return the items that describe blobs of a container, page by page; the connection must be in autocommit."""
    given = {"collection": collection_id, "container": container, "prefix": prefix, "limit": _PAGE, "after": ""}
    while True:
        # A short transaction for each page: the caller writes to storage in between, and the server ends sessions that
        # idle in a transaction.
        with _migrated(), conn.transaction():
            _sql.run(conn, "in_order")
            rows = _sql.rows(conn, "page_sources", **given)
        yield from (CatalogedBlob(row["id"], row["blob"], row["etag"]) for row in rows)
        if len(rows) < _PAGE:
            return
        given["after"] = rows[-1]["id"]


def delete_sources(
    conn: Connection, collection_id: str, container: str, parts: Iterable[Sequence[CatalogedBlob]], extents: Extents
) -> int:
    """Delete items whose blobs are gone in the open transaction, and return how many were still as they were seen.

    The extent is measured again. The catalogue stays locked until the transaction ends: call it last, with parts that
    are quick to read.
    """
    deleted = 0
    # In parts: each statement stays short however many files are gone.
    for part in parts:
        given = {"container": container, "ids": [one.item_id for one in part], "etags": [one.etag for one in part]}
        deleted += _delete(conn, "delete_sources", {"collection": collection_id, **given})
    # After every removal: an extent that was too large for any reason is right again.
    if deleted:
        _in_rounds(conn, lambda: _measure(conn, collection_id, extents))
    return deleted


def find_outputs(conn: Connection, source: str, prefix: str) -> list[ItemOutput]:
    """Return the items of any collection whose ids start with `prefix` and that are outputs of a source.

    Reads all ids: 0.1 s for 100,000.
    """
    with _migrated():
        rows = _sql.rows(conn, "find_outputs", source=source, prefix=prefix)
    return [ItemOutput(row["collection"], row["id"], row["href"] or "") for row in rows]


def delete_items(conn: Connection, collection_id: str, ids: Sequence[str], extents: Extents) -> None:
    """Delete items in the open transaction, and measure the extent of those that are left.

    The catalogue stays locked until the transaction ends.
    """
    if _delete(conn, "delete_items", {"collection": collection_id, "ids": list(ids)}):
        _in_rounds(conn, lambda: _measure(conn, collection_id, extents))


def _delete(conn: Connection, statement: str, given: Mapping[str, Any]) -> int:
    deleted = 0

    def delete() -> None:
        nonlocal deleted
        # Our writers take turns: side by side, four collections took 8.5 s, one after the other 3.3 s.
        _sql.run(conn, "lock_catalog")
        _sql.run(conn, "use_pgstac")
        deleted = _sql.run(conn, statement, **given)
        _sql.run(conn, "use_public")

    _in_rounds(conn, delete)
    return deleted


def find_owners(conn: Connection, collection_id: str, ids: Sequence[str]) -> dict[str, ItemOwner]:
    """Return the owners of those of the items that exist and name their source, by id."""
    with _migrated():
        rows = _sql.rows(conn, "find_owners", collection=collection_id, ids=list(ids))
    return {row["id"]: ItemOwner(row["source"], row["href"] or "", is_source=row["is_source"]) for row in rows}


def _upsert(
    conn: Connection,
    items: list[Json],
    extents: Extents,
    collection: Json,
    check: Callable[[Connection], None] | None,
) -> None:
    _sql.run(conn, "lock_catalog")
    # Under the lock: since the first check another job may have written an item with one of these ids.
    if check:
        check(conn)
    collection_id, ids = collection["id"], [item["id"] for item in items]
    found = get_collection(conn, collection_id)
    before = _reaches_of(conn, collection_id, ids) if found else {}
    made = found or collection
    for item in items:
        made = {**made, "extent": extents.grown(made["extent"], item)}
    if made != found:
        _write_collection(conn, made)
    _sql.run(conn, "use_pgstac")
    placed = [item if item["geometry"] else {**item, "geometry": _NOWHERE} for item in items]
    _sql.run(conn, "upsert_items", items=Jsonb(placed))
    _sql.run(conn, "use_public")
    # Measuring costs as much as the upsert, so it is done only if a replaced item held an edge of the extent.
    after = _reaches_of(conn, collection_id, list(before)) if before else {}
    if any(extents.is_loose(made["extent"], reach, after.get(name)) for name, reach in before.items()):
        _measure(conn, collection_id, extents)


def _measure(conn: Connection, collection_id: str, extents: Extents) -> None:
    """Set the extent of a collection to that of its items; one that became empty stays, with what people wrote."""
    # Deleting a collection takes its partitions away, under locks on all collections.
    _sql.run(conn, "lock_catalog")
    found = get_collection(conn, collection_id)
    try:
        with conn.transaction():
            reaches = _all_reaches(conn, collection_id) if found else []
    except psycopg.errors.QueryCanceled:
        # Out of time: an extent that is too large is right for searches, and a removal must not fail because of it.
        return
    if found and (extent := extents.measured(found["extent"], reaches)) != found["extent"]:
        _write_collection(conn, {**found, "extent": extent})


def _write_collection(conn: Connection, collection: Json) -> None:
    _sql.run(conn, "use_pgstac")
    _sql.run(conn, "upsert_collection", collection=Jsonb(collection))
    _sql.run(conn, "use_public")


def _reaches_of(conn: Connection, collection_id: str, ids: Sequence[str]) -> dict[str, Reach]:
    statement = _sql["reaches"].format(items=_sql["some_items"])
    rows = conn.execute(statement, {"collection": collection_id, "ids": list(ids)})
    return {row["id"]: _reach(row) for row in rows}


def _all_reaches(conn: Connection, collection_id: str) -> list[Reach]:
    """Return the reaches of a collection, joined if their boxes begin in the same degree: some hundreds at most."""
    reaches = _sql["reaches"].format(items=_sql["all_items"])
    # PostGIS joins boxes that begin in the same degree; the widest gap is then looked for among a few hundred. 100,000
    # items take under half a second.
    statement = _sql["joined_reaches"].format(reaches=reaches)
    return [_reach(row) for row in conn.execute(statement, {"collection": collection_id})]


def _reach(row: DictRow) -> Reach:
    box = None if row["west"] is None else (row["west"], row["south"], row["east"], row["north"])
    return Reach(box, row["first"], row["last"])


def _in_rounds(conn: Connection, act: Callable[[], Any]) -> None:
    for number in range(1, ROUNDS + 1):
        try:
            # A savepoint: after an error PostgreSQL refuses everything until it is rolled back.
            with conn.transaction():
                act()
        except _RETRIED as exc:
            # UndefinedTable also means that pgSTAC was never installed.
            if "pgstac.collections" in str(exc):
                raise _no_pgstac() from exc
            if number == ROUNDS:
                raise CatalogBusy(
                    f"pgSTAC did not store the items: {str(exc).splitlines()[0]}.",
                    remediation="It is retried automatically. If it keeps failing, look for other writers to pgSTAC.",
                ) from exc
            # Jitter, so that two that met do not meet again.
            time.sleep(PAUSE_SECONDS * 2**number * random.uniform(0.5, 1.0))  # noqa: S311
        else:
            return


@contextmanager
def _migrated() -> Iterator[None]:
    try:
        yield
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as exc:
        raise _no_pgstac() from exc


def _no_pgstac() -> DatabaseNotMigrated:
    return DatabaseNotMigrated(
        "pgSTAC is not installed in the database.",
        remediation="Run python -m repositories.migrate, or submit setup_stac_geo_schema.",
    )
