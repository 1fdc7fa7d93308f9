"""STAC collections: made with the first item, and their extents, which grow with each further one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pystac

from schema.jobs import Json

Bbox = Sequence[float]
_WORLD = [-180.0, -90.0, 180.0, 90.0]
_UNKNOWN = "geostage:unknown"
"""Marks an extent that is the world because no item says where it lies; STAC wants a box."""


def new_collection(collection_id: str, item: Json) -> Json:
    """Make the collection of a first item."""
    at = datetime.fromisoformat(item["properties"]["datetime"])
    box = item.get("bbox")
    extent = pystac.Extent(pystac.SpatialExtent([box or _WORLD]), pystac.TemporalExtent([[at, at]]))
    if not box:
        extent.spatial.extra_fields[_UNKNOWN] = True
    collection = pystac.Collection(
        id=collection_id,
        description=f"Files of {collection_id}, catalogued by Geostage.",
        extent=extent,
        title=collection_id,
        license="other",
    )
    found: Json = collection.to_dict(include_self_link=False, transform_hrefs=False)
    return {**found, "links": []}


def grown(extent: Json, item: Json) -> Json:
    """Give an extent that covers an item too. Further boxes and intervals of it stay as they are."""
    spatial, intervals = dict(extent["spatial"]), extent["temporal"]["interval"]
    if item.get("bbox"):
        boxes = [] if spatial.pop(_UNKNOWN, False) else spatial["bbox"]
        spatial["bbox"] = [union(boxes[0], item["bbox"]) if boxes else list(item["bbox"]), *boxes[1:]]
    first_interval = _span(intervals[0] if intervals else [None, None], item["properties"]["datetime"])
    return {
        "spatial": spatial,
        "temporal": {**extent["temporal"], "interval": [first_interval, *intervals[1:]]},
    }


def union(one: Bbox, other: Bbox) -> list[float]:
    """Give the smallest box around two; each may cross the antimeridian, and so may the result."""
    (w1, s1, e1, n1), (w2, s2, e2, n2) = one[:4], other[:4]
    south, north = min(s1, s2), max(n1, n2)
    west, east = _around((w1, e1), (w2, e2))
    return [west, south, east, north]


def _around(one: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    candidates = [(west, east) for west in (one[0], other[0]) for east in (one[1], other[1])]
    covering = [pair for pair in candidates if _covers(pair, one) and _covers(pair, other)]
    return min(covering, key=_width, default=(-180.0, 180.0))


def _width(pair: tuple[float, float]) -> float:
    return (pair[1] - pair[0]) % 360.0 if pair[1] - pair[0] not in (360.0, 0.0) else abs(pair[1] - pair[0])


def _covers(outer: tuple[float, float], inner: tuple[float, float]) -> bool:
    into = (inner[0] - outer[0]) % 360.0
    return into + _width(inner) <= _width(outer) + 1e-9


def _span(interval: list[str | None], at: str) -> list[str | None]:
    known = [datetime.fromisoformat(text) for text in (*interval, at) if text]
    return [_text(min(known)), _text(max(known))]


def _text(at: datetime) -> Any:
    return at.isoformat().replace("+00:00", "Z")
