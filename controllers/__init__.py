"""What a job is, and what happens next. CONTROLLERS is the one list of job types."""

from __future__ import annotations

from collections.abc import Mapping

from controllers.base import Controller
from controllers.jobs.catalog import (
    CatalogFile,
    ExtractMetadata,
    SetupStacGeoSchema,
    StacItemFull,
    StacItemQuick,
    StacItemSmart,
)
from controllers.jobs.catalog_queries import (
    ExportMetadata,
    GetCollectionDetails,
    GetStatistics,
    ListCollections,
    ListItems,
    QuerySpatial,
)
from controllers.jobs.containers import ListContainer, SyncContainer
from controllers.jobs.database import (
    DatabaseHealth,
    DescribeTable,
    GetDatabaseSummary,
    GetPostgisInfo,
    ListSchemas,
)
from controllers.jobs.hello import HelloWorld, HelloWorldSequential
from controllers.jobs.raster import CogConversion, ProcessRaster, ReprojectRaster, ValidateRaster
from controllers.jobs.tiling import GenerateTilingPlan, ProcessLargeRaster, TileRaster
from controllers.jobs.vector import ProcessVector

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
