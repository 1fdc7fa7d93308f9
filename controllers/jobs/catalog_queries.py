"""Questions to the catalogue: collections, items, statistics, and an export."""

from __future__ import annotations

from typing import Literal

from pydantic import ConfigDict, Field, model_validator

from controllers.base import JobParameters
from controllers.jobs.metadata import MetadataController
from controllers.jobs.search_parameters import (
    PAGE,
    CollectionId,
    CursorText,
    Geometry,
    Limit,
    Point,
    SearchParameters,
    cursor_faults,
)
from schema.jobs import Json, Stage
from schema.settings import Settings
from services.stac.search.areas import HALF_WAY_ROUND
from services.stac.search.filters import place_kinds, search_of

CURSOR_HELP = "`cursor` of the page before; the other parameters stay as they were, but for limit."
LIMIT_HELP = "Most records of a page; a page also ends at 200 kB."
AREAS = ("bbox", "intersects", "point")


class ListCollectionsParameters(JobParameters):
    """Which page."""

    limit: Limit = Field(default=PAGE, description=LIMIT_HELP)
    cursor: CursorText | None = Field(default=None, description=CURSOR_HELP)


class ListCollections(MetadataController):
    """Collections, with the number of their items."""

    job_type = "list_collections"
    Parameters = ListCollectionsParameters

    def check_parameters(self, parameters: JobParameters, settings: Settings) -> list[Json]:
        """Refuse a cursor that no page gave out."""
        del settings
        return cursor_faults({}, getattr(parameters, "cursor", None), ("id",))


class CollectionParameters(JobParameters):
    """Which collection."""

    collection_id: CollectionId


class GetCollectionDetails(MetadataController):
    """A collection's record, items and size."""

    job_type = "get_collection_details"
    Parameters = CollectionParameters


class ListItemsParameters(SearchParameters):
    """Which items, and which page of them."""

    limit: Limit = Field(default=PAGE, description=LIMIT_HELP)
    cursor: CursorText | None = Field(default=None, description=CURSOR_HELP)


class ListItems(MetadataController):
    """Items, newest first."""

    job_type = "list_items"
    Parameters = ListItemsParameters

    def check_parameters(self, parameters: JobParameters, settings: Settings) -> list[Json]:
        """Refuse a cursor of another search."""
        del settings
        search = search_of(parameters.model_dump(mode="json", warnings=False))
        return cursor_faults(search, getattr(parameters, "cursor", None), place_kinds(search))


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

    intersects: Geometry | None = Field(default=None, description="A GeoJSON geometry.")
    point: Point | None = Field(default=None, description="Longitude, latitude.")
    distance_m: float | None = Field(
        default=None, strict=True, gt=0, le=HALF_WAY_ROUND, allow_inf_nan=False, description="Metres around the point."
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
    """Items in a box, in a shape, or around a point."""

    job_type = "query_spatial"
    Parameters = QuerySpatialParameters


class GetStatisticsParameters(JobParameters):
    """Of all collections, or of one."""

    collection_id: CollectionId | None = None


class GetStatistics(MetadataController):
    """Items by collection, month, file type and CRS."""

    job_type = "get_statistics"
    Parameters = GetStatisticsParameters


class ExportMetadataParameters(SearchParameters):
    """Which items, in which format."""

    format: Literal["json", "geojson", "csv", "parquet"] = Field(
        default="json", description="json: collections and items; geojson: a FeatureCollection; parquet: GeoParquet."
    )


class ExportMetadata(MetadataController):
    """The catalogue, or a part of it, as one file in blob storage."""

    job_type = "export_metadata"
    Parameters = ExportMetadataParameters
    # It runs for minutes where the others take milliseconds, so it has a child process with a deadline of its own.
    stages = (Stage("execute", queue="vector"),)
