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
}
"""Task type -> "package.module:function"; imported on first use, so that an HTTP instance never loads GDAL."""


def resolve_handler(task_type: str) -> Handler:
    """Import the handler of a task type. Raises KeyError for a type that is not registered."""
    module, function = HANDLERS[task_type].split(":")
    handler: Handler = getattr(import_module(module), function)
    return handler
