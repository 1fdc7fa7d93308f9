"""Questions to the catalogue: collections, items, statistics, and an export."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from controllers.base import JobParameters, SingleTask
from controllers.jobs.search_parameters import (
    CURSOR_HELP,
    PAGE,
    CollectionId,
    CursorText,
    Geometry,
    Limit,
    Point,
    SearchParameters,
    check_cursor,
)
from schema.jobs import Json, Stage
from services.stac.search.areas import HALF_WAY_ROUND
from services.stac.search.filters import place_kinds, search_of

CURSOR_EXAMPLES = ["eyJhdCI6WyJicm9uemUiXX0"]
AREAS = ("bbox", "intersects", "point")


class ListCollectionsParameters(JobParameters):
    """Which page."""

    limit: Limit = PAGE
    cursor: CursorText | None = Field(default=None, description=CURSOR_HELP, examples=CURSOR_EXAMPLES)

    @model_validator(mode="after")
    def _continues_this_search(self) -> Self:
        check_cursor({}, self.cursor, ("id",))
        return self


class ListCollections(SingleTask):
    """List the STAC collections, each with its title, extent and number of items."""

    job_type = "list_collections"
    Parameters = ListCollectionsParameters
    example: ClassVar[Json] = {"limit": 10}


class CollectionParameters(JobParameters):
    """Which collection."""

    collection_id: CollectionId = Field(description="Id of the collection.", examples=["bronze"])


class GetCollectionDetails(SingleTask):
    """Show one STAC collection: its whole record, the number and times of its items, and its size in the database."""

    job_type = "get_collection_details"
    Parameters = CollectionParameters
    example: ClassVar[Json] = {"collection_id": "bronze"}


class ListItemsParameters(SearchParameters):
    """Which items, and which page of them."""

    limit: Limit = PAGE
    cursor: CursorText | None = Field(default=None, description=CURSOR_HELP, examples=CURSOR_EXAMPLES)

    @model_validator(mode="after")
    def _continues_this_search(self) -> Self:
        search = search_of(self.model_dump(mode="json"))
        check_cursor(search, self.cursor, place_kinds(search))
        return self


class ListItems(SingleTask):
    """List STAC items, newest first. They can be filtered by collection, bounding box and time."""

    job_type = "list_items"
    Parameters = ListItemsParameters
    example: ClassVar[Json] = {"collection_id": "bronze", "bbox": [-85, 36, -84, 37]}


# JSON Schema has no shorter way to demand one of three, and clients that are made of the schema have only that.
_ONE_AREA: Json = {
    "oneOf": [
        {"required": ["bbox"], "properties": {"bbox": {"type": "array"}}},
        {"required": ["intersects"], "properties": {"intersects": {"type": "object"}}},
        {
            "required": ["point", "distance_m"],
            "properties": {"point": {"type": "array"}, "distance_m": {"type": "number"}},
        },
    ]
}


class QuerySpatialParameters(ListItemsParameters):
    """Where: one of bbox, intersects, and point with distance_m."""

    model_config = ConfigDict(json_schema_extra=_ONE_AREA)

    intersects: Geometry | None = Field(
        default=None,
        description="Items that touch this GeoJSON geometry: at most 10,000 positions, rings closed and without "
        "self-crossings.",
        examples=[{"type": "Point", "coordinates": [-84.3, 36.5]}],
    )
    point: Point | None = Field(
        default=None,
        description="Items around this place, longitude and latitude, nearest first.",
        examples=[[-84.3, 36.5]],
    )
    distance_m: float | None = Field(
        default=None,
        strict=True,
        gt=0,
        le=HALF_WAY_ROUND,
        allow_inf_nan=False,
        description="How far from the point, in metres on the ellipsoid; 0 is the distance within an item.",
        examples=[20_000],
    )

    @model_validator(mode="after")
    def _one_area(self) -> QuerySpatialParameters:
        given = [name for name in AREAS if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of {', '.join(AREAS)}; given: {', '.join(given) or 'none'}")
        if (self.point is None) != (self.distance_m is None):
            raise ValueError("point and distance_m belong together")
        return self


class QuerySpatial(ListItems):
    """Find STAC items in a bounding box, in a GeoJSON geometry, or around a point, where the nearest come first."""

    job_type = "query_spatial"
    Parameters = QuerySpatialParameters
    example: ClassVar[Json] = {"point": [-84.3, 36.5], "distance_m": 20_000}


class GetStatisticsParameters(JobParameters):
    """Of all collections, or of one."""

    collection_id: CollectionId | None = Field(
        default=None, description="Count the items of this collection alone.", examples=["bronze"]
    )


class GetStatistics(SingleTask):
    """Count the STAC items of all collections, or of one, by collection, month, file type and CRS."""

    job_type = "get_statistics"
    Parameters = GetStatisticsParameters
    example: ClassVar[Json] = {"collection_id": "bronze"}


class ExportMetadataParameters(SearchParameters):
    """Which items, in which format."""

    format: Literal["json", "geojson", "csv", "parquet"] = Field(
        default="json",
        description="json: collections and items; geojson: the items as a FeatureCollection; csv: a line for each "
        "item; parquet: GeoParquet 1.1.",
        examples=["parquet"],
    )


class ExportMetadata(SingleTask):
    """Export the STAC catalogue, or a part of it, to one blob in JSON, GeoJSON, CSV or GeoParquet."""

    job_type = "export_metadata"
    Parameters = ExportMetadataParameters
    example: ClassVar[Json] = {"format": "parquet"}
    # It runs for minutes where the others take milliseconds, so it has a child process with a deadline of its own.
    stages = (Stage("execute", queue="vector"),)
