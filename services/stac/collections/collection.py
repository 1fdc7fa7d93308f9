"""STAC collections: created with their first item. Pure."""

from __future__ import annotations

from datetime import datetime

import pystac

from schema.jobs import Json
from services.stac.collections.extent import UNKNOWN, WORLD


def new_collection(collection_id: str, item: Json) -> Json:
    """Return the collection that a first item creates, with the extent of that item."""
    at = datetime.fromisoformat(item["properties"]["datetime"])
    box = item.get("bbox")
    extent = pystac.Extent(pystac.SpatialExtent([box or WORLD]), pystac.TemporalExtent([[at, at]]))
    if not box:
        extent.spatial.extra_fields[UNKNOWN] = True
    collection = pystac.Collection(
        id=collection_id,
        description=f"Files of {collection_id}, catalogued by Geostage.",
        extent=extent,
        title=collection_id,
        license="other",
    )
    found: Json = collection.to_dict(include_self_link=False, transform_hrefs=False)
    return {**found, "links": []}
