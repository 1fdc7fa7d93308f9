"""Filters: which of a job's parameters say what is searched for, and what they mean to the catalogue. Pure."""

from __future__ import annotations

import json

from repositories.catalog.items import Filters
from schema.jobs import Json
from services.stac.search.areas import boxes_around, boxes_of, geojson_of
from services.stac.search.datetime_interval import interval_of

_NAMES = ("collection_id", "bbox", "datetime", "intersects", "point", "distance_m")


def search_of(parameters: Json) -> Json:
    """Give what makes a search this one and no other; the size of its pages does not."""
    return {name: parameters[name] for name in _NAMES if parameters.get(name) is not None}


def place_kinds(search: Json) -> tuple[str, str, str]:
    """Name the parts of a place in the order of a search's items: nearest first, or newest first."""
    return ("distance" if "point" in search else "time", "id", "id")


def filters_of(search: Json) -> Filters:
    """Say a search in the catalogue's terms."""
    earliest, latest = interval_of(search["datetime"]) if "datetime" in search else (None, None)
    longitude, latitude = search.get("point", (None, None))
    return Filters(
        collection=search.get("collection_id"),
        area=_area(search),
        earliest=earliest,
        latest=latest,
        longitude=longitude,
        latitude=latitude,
        distance=search.get("distance_m"),
    )


def _area(search: Json) -> str | None:
    if "bbox" in search:
        return json.dumps(geojson_of(boxes_of(search["bbox"])))
    if "intersects" in search:
        return json.dumps(search["intersects"])
    if "point" in search:
        longitude, latitude = search["point"]
        return json.dumps(geojson_of(boxes_around(longitude, latitude, search["distance_m"])))
    return None
