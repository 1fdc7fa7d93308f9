"""Factories for small function apps, and the settings that they need."""

from collections.abc import Callable
from typing import Any

import azure.functions as func

ENVIRONMENT = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}
HOST_JSON: dict[str, Any] = {"version": "2.0", "extensions": {"queues": {"messageEncoding": "base64"}}}


def http_app(route: str, name: str = "answer", methods: list[str] | None = None, **options: Any) -> func.FunctionApp:
    """One HTTP function."""
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

    @app.function_name(name)
    @app.route(route=route, methods=methods, **options)
    def answer(req: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse(str(dict(req.route_params)))

    return app


def queue_app(
    queue: str = "tiny", connection: str = "AzureWebJobsStorage", work: Callable[[func.QueueMessage], Any] | None = None
) -> func.FunctionApp:
    """One queue function that calls `work`."""
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="message", queue_name=queue, connection=connection)
    def on_message(message: func.QueueMessage) -> None:
        return work(message) if work else None  # type: ignore[return-value]

    return app


def timer_app(schedule: str) -> func.FunctionApp:
    """One timer function."""
    app = func.FunctionApp()

    @app.timer_trigger(arg_name="timer", schedule=schedule)
    def tick(timer: func.TimerRequest) -> None:
        pass

    return app
