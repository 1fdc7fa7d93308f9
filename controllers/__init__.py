"""What a job is, and what happens next. CONTROLLERS is the one list of job types."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.base import Controller
from controllers.catalog_file import CatalogFile, StacItemFull, StacItemQuick, StacItemSmart
from controllers.catalog_queries import (
    ExportMetadata,
    GetCollectionDetails,
    GetStatistics,
    ListCollections,
    ListItems,
    QuerySpatial,
)
from controllers.cog_conversion import CogConversion
from controllers.database_queries import DatabaseHealth, DescribeTable, GetDatabaseSummary, GetPostgisInfo, ListSchemas
from controllers.extract_metadata import ExtractMetadata
from controllers.generate_tiling_plan import GenerateTilingPlan
from controllers.hello_world import HelloWorld
from controllers.hello_world_sequential import HelloWorldSequential
from controllers.list_container import ListContainer
from controllers.process_large_raster import ProcessLargeRaster
from controllers.process_raster import ProcessRaster
from controllers.process_vector import ProcessVector
from controllers.reproject_raster import ReprojectRaster
from controllers.setup_stac_geo_schema import SetupStacGeoSchema
from controllers.sync_container import SyncContainer
from controllers.tile_raster import TileRaster
from controllers.validate_raster import ValidateRaster

CONTROLLERS: Mapping[str, Controller] = {
    controller.job_type: controller
    for controller in (
        HelloWorld(),
        HelloWorldSequential(),
        ProcessVector(),
        ValidateRaster(),
        CogConversion(),
        ProcessRaster(),
        ListCollections(),
        GetCollectionDetails(),
        ListItems(),
        QuerySpatial(),
        GetStatistics(),
        ExportMetadata(),
        GetDatabaseSummary(),
        DatabaseHealth(),
        ListSchemas(),
        DescribeTable(),
        GetPostgisInfo(),
        ReprojectRaster(),
        ExtractMetadata(),
        ListContainer(),
        SyncContainer(),
        CatalogFile(),
        StacItemQuick(),
        StacItemFull(),
        StacItemSmart(),
        SetupStacGeoSchema(),
        GenerateTilingPlan(),
        ProcessLargeRaster(),
        TileRaster(),
    )
}
