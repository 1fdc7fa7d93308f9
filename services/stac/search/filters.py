"""Filters: which of a job's parameters say what is searched for, and what they mean to the catalog. Pure."""

from __future__ import annotations

import json

from repositories.catalog.items import Filters
from schema.jobs import Json
from services.stac.search.areas import boxes_around, boxes_of, geojson_of
from services.stac.search.datetime_interval import interval_of

_NAMES = ("collection_id", "bbox", "datetime", "intersects", "point", "distance_m")


def search_of(parameters: Json) -> Json:
    """Return the parameters that identify a search; the size of its pages is not among them."""
    return {name: parameters[name] for name in _NAMES if parameters.get(name) is not None}


def place_kinds(search: Json) -> tuple[str, str, str]:
    """Return the kinds of a place's parts, in the order that items are sorted by: nearest first, or newest first."""
    return ("distance" if "point" in search else "time", "id", "id")


def filters_of(search: Json) -> Filters:
    """Return the filters of a search."""
    earliest, latest = interval_of(search["datetime"]) if "datetime" in search else (None, None)
    longitude, latitude = search.get("point", (None, None))
    area = search.get("intersects")
    if "bbox" in search:
        area = geojson_of(boxes_of(search["bbox"]))
    elif "point" in search:
        area = area or geojson_of(boxes_around(longitude, latitude, search["distance_m"]))
    return Filters(
        collection=search.get("collection_id"),
        area=json.dumps(area) if area else None,
        earliest=earliest,
        latest=latest,
        longitude=longitude,
        latitude=latitude,
        distance=search.get("distance_m"),
    )
