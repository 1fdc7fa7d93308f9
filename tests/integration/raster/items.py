"""Items without a raster, the collections that they lie in, and what the catalogue has of both."""

from __future__ import annotations

from repositories.catalog import catalog
from repositories.postgres import Connection, Database
from schema.jobs import Json
from services.stac.collections.extent import EXTENTS


def item(collection: str, number: int, *, west: float = 0, at: str = "2020-01-01T00:00:00Z") -> Json:
    ring = [[west, 0], [west + 1, 0], [west + 1, 1], [west, 1], [west, 0]]
    return {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": f"item-{number}",
        "collection": collection, "geometry": {"type": "Polygon", "coordinates": [ring]},
        "bbox": [west, 0, west + 1, 1], "properties": {"datetime": at}, "links": [], "assets": {},
    }  # fmt: skip


def collection_of(first: Json) -> Json:
    return {
        "type": "Collection", "stac_version": "1.1.0", "id": first["collection"], "description": "-",
        "license": "other", "links": [], "extent": {"spatial": {"bbox": [first.get("bbox")]},
                                "temporal": {"interval": [[first["properties"]["datetime"]] * 2]}},
    }  # fmt: skip


def upsert(conn: Connection, *items: Json) -> None:
    catalog.upsert_items(conn, list(items), EXTENTS, collection_of(items[0]))


def stored(database: Database, collection: str) -> list[str]:
    with database.connection() as conn:
        rows = conn.execute("SELECT id FROM pgstac.items WHERE collection = %s ORDER BY id", [collection])
        return [row["id"] for row in rows]


def extent_of(database: Database, collection: str) -> Json:
    with database.connection() as conn:
        found = catalog.get_collection(conn, collection)
    assert found
    extent: Json = found["extent"]
    return extent
