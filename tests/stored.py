"""What the catalogue holds, as pgSTAC itself gives it."""

from __future__ import annotations

from repositories.postgres import Connection
from schema.jobs import Json

NOWHERE: Json = {"type": "Polygon", "coordinates": []}


def get_item(conn: Connection, collection_id: str, item_id: str) -> Json | None:
    """Return an item; its geometry is None where its place is not known."""
    row = conn.execute("SELECT pgstac.get_item(%s, %s) AS item", [item_id, collection_id]).fetchone()
    item: Json | None = row["item"] if row else None
    return {**item, "geometry": None} if item and item["geometry"] == NOWHERE else item
