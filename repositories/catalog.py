"""The STAC catalogue: collections and items in pgSTAC."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from repositories.postgres import Connection, DatabaseNotMigrated, Statements
from schema.errors import TransientError
from schema.jobs import Json

ROUNDS = 6
PAUSE_SECONDS = 0.1
_PASSING = (
    psycopg.errors.DeadlockDetected,
    psycopg.errors.CheckViolation,
    psycopg.errors.UniqueViolation,
    psycopg.errors.LockNotAvailable,
    psycopg.errors.SerializationFailure,
    # It looks at partitions that a transaction, undone meanwhile, had made.
    psycopg.errors.UndefinedTable,
)
"""What pgSTAC raises while another writer changes a partition: https://github.com/stac-utils/pgstac/issues"""
_sql = Statements("catalog")
_PAGE = 1_000
_NOWHERE: Json = {"type": "Polygon", "coordinates": []}
"""pgSTAC's column takes no NULL, which STAC has for a place that is not known. RFC 7946, 3.1: it may be read as null;
no search for a place finds it."""


@dataclass(frozen=True)
class CatalogedBlob:
    """An item that was made of a blob as it is."""

    item_id: str
    blob: str
    etag: str
    """The blob's, when the item was made."""


class CatalogBusy(TransientError):
    """pgSTAC refused a write again and again."""

    code = "catalog_busy"


def upsert_items(
    conn: Connection,
    items: list[Json],
    grow: Callable[[Json, Json], Json],
    collection: Json,
    check: Callable[[Connection], None] | None = None,
) -> None:
    """Insert or replace items of one collection, in a transaction that is open; make a collection that is missing.

    `collection` is what a missing one becomes; `grow(extent, item)` gives the extent that covers an item too; `check`
    may refuse, by what it sees while nobody else writes. It locks the catalogue until the transaction ends, so call it
    last. Each round is a savepoint: a failed one leaves nothing.

    Raises
    ------
    CatalogBusy
        Other writers were in the way, six times.
    """
    _in_rounds(conn, lambda: _upsert(conn, items, grow, collection, check))


def get_item(conn: Connection, collection_id: str, item_id: str) -> Json | None:
    """Give an item as pgSTAC has it."""
    row = _sql.first(conn, "get_item", collection=collection_id, item=item_id)
    item: Json | None = row["item"] if row else None
    return {**item, "geometry": None} if item and item["geometry"] == _NOWHERE else item


def get_collection(conn: Connection, collection_id: str) -> Json | None:
    """Give a collection as pgSTAC has it."""
    row = _sql.first(conn, "get_collection", collection=collection_id)
    return row["content"] if row else None


def find_sources(conn: Connection, collection_id: str, container: str, ids: Sequence[str]) -> dict[str, Json]:
    """Give {etag, detail} of those of the items that exist and were made of blobs of a container, by id."""
    given = {"collection": collection_id, "container": container, "ids": list(ids)}
    with _migrated():
        return {row["id"]: dict(row) for row in _sql.rows(conn, "find_sources", **given)}


def sources(conn: Connection, collection_id: str, container: str, prefix: str) -> Iterator[CatalogedBlob]:
    """Go through the items that were made of blobs of a container, page by page; the connection is in autocommit."""
    given = {"collection": collection_id, "container": container, "prefix": prefix, "limit": _PAGE, "after": ""}
    while True:
        with _migrated(), conn.transaction():
            _sql.run(conn, "in_order")
            rows = _sql.rows(conn, "page_sources", **given)
        yield from (CatalogedBlob(row["id"], row["blob"], row["etag"]) for row in rows)
        if len(rows) < _PAGE:
            return
        given["after"] = rows[-1]["id"]


def delete_sources(conn: Connection, collection_id: str, container: str, gone: Sequence[CatalogedBlob]) -> int:
    """Delete items whose blobs are gone, in a transaction that is open, and say how many were still as they were seen.

    It locks the catalogue until the transaction ends, so call it last.
    """
    deleted = 0

    def delete() -> None:
        nonlocal deleted
        _sql.run(conn, "lock_catalog")
        _sql.run(conn, "use_pgstac")
        given = {
            "collection": collection_id,
            "container": container,
            "ids": [one.item_id for one in gone],
            "etags": [one.etag for one in gone],
        }
        deleted = _sql.run(conn, "delete_sources", **given)
        _sql.run(conn, "use_public")

    _in_rounds(conn, delete)
    return deleted


def find_holders(conn: Connection, collection_id: str, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give the source and the link to the data of those of the items that exist and say it, by id."""
    with _migrated():
        rows = _sql.rows(conn, "find_holders", collection=collection_id, ids=list(ids))
    return {row["id"]: (row["source"], row["href"] or "") for row in rows}


def find_outputs(conn: Connection, collection_id: str, source: str, prefix: str) -> dict[str, str]:
    """Give the links to the data of the items that were made of a source, and whose ids begin so, by id."""
    given = {"collection": collection_id, "source": source, "prefix": prefix}
    with _migrated():
        return {row["id"]: row["href"] or "" for row in _sql.rows(conn, "find_outputs", **given)}


def delete_items(conn: Connection, collection_id: str, ids: Sequence[str]) -> None:
    """Delete items, in a transaction that is open; it locks the catalogue until the transaction ends."""

    def delete() -> None:
        _sql.run(conn, "lock_catalog")
        _sql.run(conn, "use_pgstac")
        _sql.run(conn, "delete_items", collection=collection_id, ids=list(ids))
        _sql.run(conn, "use_public")

    _in_rounds(conn, delete)


def _upsert(
    conn: Connection,
    items: list[Json],
    grow: Callable[[Json, Json], Json],
    collection: Json,
    check: Callable[[Connection], None] | None,
) -> None:
    _sql.run(conn, "lock_catalog")
    if check:
        check(conn)
    found = get_collection(conn, collection["id"])
    extent = _grown((found or collection)["extent"], items, grow)
    _sql.run(conn, "use_pgstac")
    if found is None or extent != found["extent"]:
        _sql.run(conn, "upsert_collection", collection=Jsonb({**(found or collection), "extent": extent}))
    placed = [item if item["geometry"] else {**item, "geometry": _NOWHERE} for item in items]
    _sql.run(conn, "upsert_items", items=Jsonb(placed))
    _sql.run(conn, "use_public")


def _grown(extent: Json, items: Iterable[Json], grow: Callable[[Json, Json], Json]) -> Json:
    for item in items:
        extent = grow(extent, item)
    return extent


def _in_rounds(conn: Connection, act: Callable[[], Any]) -> None:
    for number in range(1, ROUNDS + 1):
        try:
            with conn.transaction():
                act()
        except _PASSING as exc:
            if "pgstac.collections" in str(exc):
                raise _no_pgstac() from exc
            if number == ROUNDS:
                raise CatalogBusy(
                    f"The catalogue did not take the items: {str(exc).splitlines()[0]}.",
                    remediation="It is tried again; if it keeps happening, look for other writers to pgSTAC.",
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
        "The database has no pgSTAC.",
        remediation="Run python -m repositories.migrate, or submit setup_stac_geo_schema.",
    )
