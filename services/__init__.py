"""How a task is done: knows no queue, no HTTP, no job state."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from services.context import TaskContext

Handler = Callable[["TaskContext"], dict[str, Any]]

HANDLERS = {
    "hello": "services.hello:hello",
    "hello_initial": "services.hello:initial_hello",
    "hello_validation": "services.hello:validation",
    "hello_response": "services.hello:response",
    "vector_preprocess": "services.vector.tasks:preprocess",
    "vector_upload": "services.vector.tasks:upload",
    "vector_publish": "services.vector.tasks:publish",
    "validate_raster": "services.raster.tasks:validate_raster",
    "cog_conversion": "services.raster.tasks:cog_conversion",
    "process_raster": "services.raster.tasks:process_raster",
    "list_collections": "services.stac.queries:list_collections",
    "get_collection_details": "services.stac.queries:get_collection_details",
    "list_items": "services.stac.queries:list_items",
    "query_spatial": "services.stac.queries:query_spatial",
    "get_statistics": "services.stac.queries:get_statistics",
    "export_metadata": "services.stac.export:export_metadata",
    "get_database_summary": "services.database.summary:get_database_summary",
    "get_postgis_info": "services.database.summary:get_postgis_info",
    "database_health": "services.database.health:database_health",
    "list_schemas": "services.database.tables:list_schemas",
    "describe_table": "services.database.tables:describe_table",
    "container_prefixes": "services.containers.tasks:prefixes",
    "container_list": "services.containers.tasks:list_files",
    "sync_list": "services.containers.sync:compare",
    "sync_catalog": "services.stac.tasks:catalog_batch",
    "sync_summarise": "services.containers.sync:summarise",
    "catalog_file": "services.stac.tasks:catalog_file",
    "extract_metadata": "services.stac.tasks:extract_metadata",
    "setup_stac_geo_schema": "services.stac.setup:setup",
    "raster_plan_tiles": "services.raster.tiling_tasks:plan_tiles",
    "raster_tile": "services.raster.tiling_tasks:make_tile",
    "raster_collect": "services.raster.collect:collect",
}
"""Task type -> "package.module:function"; imported on first use, so that an HTTP instance never loads GDAL."""


def resolve_handler(task_type: str) -> Handler:
    """Import the handler of a task type. Raises KeyError for a type that is not registered."""
    module, function = HANDLERS[task_type].split(":")
    handler: Handler = getattr(import_module(module), function)
    return handler
