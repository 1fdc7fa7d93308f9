"""The handlers of the job types that search the catalog."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from repositories.catalog import items, statistics
from repositories.catalog.items import After
from repositories.postgres import Connection
from schema.jobs import Json
from services.context import TaskContext
from services.stac.errors import collection_not_found, geometry_invalid
from services.stac.search import cursors
from services.stac.search.filters import filters_of, place_kinds, search_of
from services.stac.search.pages import fill

READ_SECONDS = 60
COUNT_SECONDS = 120
"""For each of four counts; all must fit into the deadline of a task."""
SHOWN_ROWS = 200
COLLECTION_LINE = ("id", "title", "description", "license", "extent")
"""What a list shows of a collection; its whole record may hold any number of summaries and links."""
KNOWN_IDS = 2000
"""Ids that are compared with one that does not exist, for "Did you mean ...?"."""


def list_collections(ctx: TaskContext) -> Json:
    """Return a page of collections in the order of their ids, each with the number of its items."""
    cursor = ctx.parameters.get("cursor")
    after = str(cursors.decode({}, cursor, ("id",))[0]) if cursor else None
    limit = ctx.parameters["limit"]
    with items.reading(ctx.database, READ_SECONDS) as conn:
        with closing(items.list_collections(conn, after=after, limit=limit + 1)) as found:
            page, more = fill(found, "content", limit)
        counted = items.count_items(conn, [row["id"] for row in page])
    shown = [
        {**{name: row["content"].get(name) for name in COLLECTION_LINE}, **_counted(counted.get(row["id"], {}))}
        for row in page
    ]
    return {
        "collections": shown,
        "count": len(shown),
        "cursor": cursors.encode({}, [page[-1]["id"]]) if more else None,
    }


def get_collection_details(ctx: TaskContext) -> Json:
    """Return a collection's whole record, the number and datetimes of its items, and its size on disk."""
    collection_id = ctx.parameters["collection_id"]
    with items.reading(ctx.database, READ_SECONDS) as conn:
        row = items.find_collection(conn, collection_id)
        if row is None:
            raise collection_not_found(collection_id, items.list_collection_ids(conn, KNOWN_IDS))
        counted = items.count_items(conn, [collection_id]).get(collection_id, {})
        size = items.measure_collection(conn, row["key"])
    return {"collection": row["content"], **_counted(counted), **size}


def list_items(ctx: TaskContext) -> Json:
    """Return a page of items, newest first."""
    return _page(ctx)


def query_spatial(ctx: TaskContext) -> Json:
    """Return a page of items in an area, newest first, or around a point, nearest first with their distance."""
    return _page(ctx)


def get_statistics(ctx: TaskContext) -> Json:
    """Count items by collection, month, file type and CRS; each list holds the most frequent."""
    collection_id = ctx.parameters.get("collection_id")
    with items.reading(ctx.database, COUNT_SECONDS) as conn:
        check_collection(conn, collection_id)
        # One row more than is shown tells whether the list is cut.
        counted = {
            aspect: statistics.count(conn, aspect, collection_id=collection_id, limit=SHOWN_ROWS + 1)
            for aspect in statistics.ASPECTS
        }
    return {
        aspect: {"most_frequent": rows[:SHOWN_ROWS], "is_cut": len(rows) > SHOWN_ROWS}
        for aspect, rows in counted.items()
    }


def check_collection(conn: Connection, collection_id: str | None) -> None:
    """Raise PermanentError (collection_not_found) if a collection that is named does not exist."""
    if collection_id is not None and items.find_collection(conn, collection_id) is None:
        raise collection_not_found(collection_id, items.list_collection_ids(conn, KNOWN_IDS))


def check_area(conn: Connection, search: Json) -> None:
    """Raise PermanentError (invalid_geometry) if the geometry of a search is not valid, as PostGIS judges it."""
    area = filters_of(search).area if "intersects" in search else None
    reason = items.why_invalid(conn, area) if area else None
    if reason:
        raise geometry_invalid(reason)


def _page(ctx: TaskContext) -> Json:
    search, limit = search_of(ctx.parameters), ctx.parameters["limit"]
    cursor = ctx.parameters.get("cursor")
    place: Any = cursors.decode(search, cursor, place_kinds(search)) if cursor else None
    with items.reading(ctx.database, READ_SECONDS) as conn:
        check_collection(conn, search.get("collection_id"))
        check_area(conn, search)
        found = items.search(conn, filters_of(search), after=After(*place) if place else None, limit=limit + 1)
        with closing(found):
            page, more = fill(found, "item", limit)
    return {
        # Around a point the sort key is the distance, in metres; otherwise it is a timestamp.
        "items": [
            {**row["item"], "distance_m": round(row["key"], 3)} if isinstance(row["key"], float) else row["item"]
            for row in page
        ],
        "count": len(page),
        "cursor": cursors.encode(search, [page[-1][name] for name in ("key", "collection", "id")]) if more else None,
    }


def _counted(counted: Json) -> Json:
    return {"items": counted.get("items", 0), "earliest": counted.get("earliest"), "latest": counted.get("latest")}
