"""What the child processes of these tests are built of: the real engine, to which some files are deadly."""

from __future__ import annotations

import os
import time

import pystac

from controllers import CONTROLLERS
from controllers.engine.engine import Engine
from repositories.postgres import Database
from repositories.storage.blobs import AzureBlobs
from repositories.storage.queues import FakeQueues
from schema.settings import get_settings
from services import resolve_handler
from services.containers.batches import SourceFile
from services.containers.details import Detail
from services.handlers import catalog
from services.stac.file_records import RecordMaker

BUILDER = "tests.integration.containers.deadly:build"


class DeadlyMaker(RecordMaker):
    """Does to this process what a library may do to it, if the file's name says so."""

    def make(self, file: SourceFile, detail: Detail) -> pystac.Item:
        name = file.source.blob
        if "abort" in name:
            os.abort()
        if "hang" in name:
            time.sleep(600)
        if "bug" in name:
            raise KeyError("nobody thought of this")
        return super().make(file, detail)


def build() -> Engine:
    """Make the engine of a child."""
    settings = get_settings()
    setattr(catalog, "RecordMaker", DeadlyMaker)  # noqa: B010 - mypy knows it as an import of that module
    database = Database(settings.postgres_dsn.get_secret_value())
    return Engine(settings, database, FakeQueues(), AzureBlobs(settings), CONTROLLERS, resolve_handler)
