"""How a task is done: knows no queue, no HTTP, no job state."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.context import TaskContext

Handler = Callable[["TaskContext"], dict[str, Any]]

HANDLERS = {
    "hello": "services.handlers.hello:hello",
    "hello_initial": "services.handlers.hello:initial_hello",
    "hello_validation": "services.handlers.hello:validation",
    "hello_response": "services.handlers.hello:response",
    "vector_preprocess": "services.handlers.vector:preprocess",
    "vector_upload": "services.handlers.vector:upload",
    "vector_publish": "services.handlers.vector:publish",
    "validate_raster": "services.handlers.raster:validate_raster",
    "cog_conversion": "services.handlers.raster:cog_conversion",
    "process_raster": "services.handlers.raster:process_raster",
    "list_collections": "services.handlers.catalog_queries:list_collections",
    "get_collection_details": "services.handlers.catalog_queries:get_collection_details",
    "list_items": "services.handlers.catalog_queries:list_items",
    "query_spatial": "services.handlers.catalog_queries:query_spatial",
    "get_statistics": "services.handlers.catalog_queries:get_statistics",
    "export_metadata": "services.handlers.catalog_export:export_metadata",
    "get_database_summary": "services.handlers.database_summary:get_database_summary",
    "get_postgis_info": "services.handlers.database_summary:get_postgis_info",
    "database_health": "services.handlers.database_health:database_health",
    "list_schemas": "services.handlers.database_tables:list_schemas",
    "describe_table": "services.handlers.database_tables:describe_table",
    "container_prefixes": "services.handlers.containers:prefixes",
    "container_list": "services.handlers.containers:list_files",
    "sync_list": "services.handlers.sync:compare",
    "sync_catalog": "services.handlers.catalog:catalog_batch",
    "sync_summarise": "services.handlers.sync:summarize",
    "catalog_file": "services.handlers.catalog:catalog_file",
    "extract_metadata": "services.handlers.catalog:extract_metadata",
    "setup_stac_geo_schema": "services.handlers.catalog_setup:setup",
    "raster_plan_tiles": "services.handlers.tiling:plan_tiles",
    "raster_tile": "services.handlers.tiling:make_tile",
    "raster_collect": "services.handlers.tiling_collect:collect",
}
"""Task type -> "package.module:function"; imported on first use, so that an HTTP instance never loads GDAL."""


def resolve_handler(task_type: str) -> Handler:
    """Import the handler of a task type. Raises KeyError for a type that is not registered."""
    module, function = HANDLERS[task_type].split(":")
    handler: Handler = getattr(import_module(module), function)
    return handler
