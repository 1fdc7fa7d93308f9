"""Building: what an engine is made of in a deployment, for the Functions worker and for its child processes alike."""

from __future__ import annotations

from controllers import CONTROLLERS
from controllers.engine.child_pool import Children
from controllers.engine.engine import Engine
from repositories.postgres import Database
from repositories.storage.blobs import AzureBlobs
from repositories.storage.queues import AzureQueues
from schema.settings import get_settings
from services import resolve_handler


def build_engine(children: Children | None = None) -> Engine:
    """Make an engine of the deployment's settings; nothing is connected before its first use.

    Without children every task runs in this process.
    """
    settings = get_settings()
    database = Database(settings.postgres_dsn.get_secret_value())
    # Job types and handlers come from outside: the engine knows none, and tests run it with their own.
    return Engine(
        settings, database, AzureQueues(settings), AzureBlobs(settings), CONTROLLERS, resolve_handler, children
    )
