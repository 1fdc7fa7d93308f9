"""STAC collections: made with the first item, and their extents, which grow with each further one. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pystac

from schema.jobs import Json

Bbox = Sequence[float]


def new_collection(collection_id: str, item: pystac.Item) -> Json:
    """Make the collection of a first item."""
    assert item.bbox is not None
    assert item.datetime is not None
    extent = pystac.Extent(pystac.SpatialExtent([list(item.bbox)]), pystac.TemporalExtent([[item.datetime] * 2]))
    collection = pystac.Collection(
        id=collection_id,
        description=f"Rasters of {collection_id}, processed by Geostage.",
        extent=extent,
        title=collection_id,
        license="other",
    )
    found: Json = collection.to_dict(include_self_link=False, transform_hrefs=False)
    return {**found, "links": []}


def grown(extent: Json, item: Json) -> Json:
    """Give an extent that covers an item too. Further boxes and intervals of it stay as they are."""
    boxes, intervals = extent["spatial"]["bbox"], extent["temporal"]["interval"]
    first_box = union(boxes[0], item["bbox"]) if boxes else item["bbox"]
    first_interval = _span(intervals[0] if intervals else [None, None], item["properties"]["datetime"])
    return {
        "spatial": {**extent["spatial"], "bbox": [list(first_box), *boxes[1:]]},
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
