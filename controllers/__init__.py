"""What a job is, and what happens next. CONTROLLERS is the one list of job types."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.base import Controller
from controllers.jobs.catalog_file import CatalogFile, StacItemFull, StacItemQuick, StacItemSmart
from controllers.jobs.catalog_queries import (
    ExportMetadata,
    GetCollectionDetails,
    GetStatistics,
    ListCollections,
    ListItems,
    QuerySpatial,
)
from controllers.jobs.cog_conversion import CogConversion
from controllers.jobs.database_queries import (
    DatabaseHealth,
    DescribeTable,
    GetDatabaseSummary,
    GetPostgisInfo,
    ListSchemas,
)
from controllers.jobs.extract_metadata import ExtractMetadata
from controllers.jobs.generate_tiling_plan import GenerateTilingPlan
from controllers.jobs.hello_world import HelloWorld
from controllers.jobs.hello_world_sequential import HelloWorldSequential
from controllers.jobs.list_container import ListContainer
from controllers.jobs.process_large_raster import ProcessLargeRaster
from controllers.jobs.process_raster import ProcessRaster
from controllers.jobs.process_vector import ProcessVector
from controllers.jobs.reproject_raster import ReprojectRaster
from controllers.jobs.setup_stac_geo_schema import SetupStacGeoSchema
from controllers.jobs.sync_container import SyncContainer
from controllers.jobs.tile_raster import TileRaster
from controllers.jobs.validate_raster import ValidateRaster

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
