"""Parameters of searches in the catalogue: where, when, which collection, which page."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, StrictInt, WithJsonSchema

from controllers.base import JobParameters, fault
from controllers.jobs.geojson import TYPES, check_geometry, is_number
from schema.jobs import Json
from services.stac.search.cursors import MAX_CURSOR_LENGTH, CursorError, decode
from services.stac.search.datetime_interval import DATETIME_HELP, interval_of

PAGE = 100
MAX_PAGE = 1000


# jsonb has no negative zero: adding 0 takes its sign, so that a search is the same before and after it was stored.


def check_bbox(value: object) -> object:
    """Check west, south, east, north; with heights, south-west and north-east corner. Raises ValueError."""
    if not isinstance(value, list) or len(value) not in (4, 6) or not all(map(is_number, value)):
        raise ValueError("must be four numbers: west, south, east, north; or six, with a height after each corner")
    west, south, east, north = (value[0], value[1], value[3], value[4]) if len(value) == 6 else value
    if not all(-180 <= longitude <= 180 for longitude in (west, east)):
        raise ValueError("west and east must be from -180 to 180; west greater than east crosses the antimeridian")
    if not -90 <= south <= north <= 90:
        raise ValueError("south and north must be from -90 to 90, and south must not be greater than north")
    return [float(number) + 0.0 for number in value]


def check_point(value: object) -> object:
    """Check longitude, latitude. Raises ValueError."""
    if not isinstance(value, list) or len(value) != 2 or not all(map(is_number, value)):
        raise ValueError("must be two numbers: longitude, latitude")
    if not -180 <= value[0] <= 180 or not -90 <= value[1] <= 90:
        raise ValueError("longitudes go from -180 to 180, latitudes from -90 to 90, longitude first")
    return [float(number) + 0.0 for number in value]


def _check_datetime(text: str) -> str:
    interval_of(text)
    return text


Bbox = Annotated[
    list[float],
    BeforeValidator(check_bbox),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 6}),
]
Point = Annotated[
    list[float],
    BeforeValidator(check_point),
    WithJsonSchema({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
]
Geometry = Annotated[
    dict[str, Any],
    BeforeValidator(check_geometry),
    WithJsonSchema(
        {
            "type": "object",
            "required": ["type"],
            "properties": {
                "type": {"enum": list(TYPES), "description": "Kind of the geometry."},
                "coordinates": {"type": "array", "description": "Its positions: longitude, latitude, maybe a height."},
                "geometries": {"type": "array", "description": "Of a GeometryCollection: its geometries."},
            },
        }
    ),
]
CollectionId = Annotated[str, Field(min_length=1, max_length=256)]
Datetime = Annotated[str, Field(max_length=80), AfterValidator(_check_datetime)]
Limit = Annotated[
    StrictInt,
    Field(ge=1, le=MAX_PAGE, description="Most records of a page; a page also ends at 200 kB.", examples=[10]),
]
CursorText = Annotated[str, Field(min_length=1, max_length=MAX_CURSOR_LENGTH)]
CURSOR_HELP = "The `cursor` of the page before; all parameters but limit must stay the same."


class SearchParameters(JobParameters):
    """Which items."""

    collection_id: CollectionId | None = Field(
        default=None, description="Items of this collection alone.", examples=["bronze"]
    )
    bbox: Bbox | None = Field(
        default=None,
        description="Items that touch this box: west, south, east, north in degrees, or six numbers with a height "
        "after each corner, which is ignored. A box whose west is greater than its east crosses the antimeridian.",
        examples=[[-85, 36, -84, 37]],
    )
    datetime: Datetime | None = Field(
        default=None, description=f"Items of this time. {DATETIME_HELP}", examples=["2024-05-01/.."]
    )


def check_cursor(search: Json, cursor: str | None, kinds: tuple[str, ...]) -> None:
    """Check that a page of the same search gave the cursor. Raises a fault of the field `cursor`."""
    if cursor is None:
        return
    try:
        decode(search, cursor, kinds)
    except CursorError as exc:
        raise fault("cursor", f"{exc}; send the `cursor` of the page before unchanged") from exc
