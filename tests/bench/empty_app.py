"""The real function_app.py with one function more: an empty one, as the baseline of the orchestration bench."""

import importlib.util
from pathlib import Path

import azure.functions as func

import schema.settings

EMPTY_QUEUE = "bench-empty"

# This file stands as function_app.py in a folder of its own, so the real one is found beside the package schema.
_APP = Path(schema.settings.__file__).parents[1] / "function_app.py"
_spec = importlib.util.spec_from_file_location("geostage_app", _APP)
assert _spec is not None
assert _spec.loader is not None
geostage = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(geostage)
app = geostage.app


@app.route("bench/{count}", methods=["POST"])  # type: ignore[untyped-decorator]
def send_empty(req: func.HttpRequest) -> func.HttpResponse:
    """Send messages to the empty function, by the code that sends the messages of tasks."""
    count = int(req.route_params["count"])
    geostage.engine().queues.send(EMPTY_QUEUE, [f'{{"task_id": "empty-{number:04d}"}}' for number in range(count)])
    return func.HttpResponse(status_code=202)


@app.queue_trigger("message", EMPTY_QUEUE, schema.settings.STORAGE_VARIABLE)  # type: ignore[untyped-decorator]
def on_empty(message: func.QueueMessage) -> None:
    """Do nothing."""
    del message
