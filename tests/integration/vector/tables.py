"""A table of boxes, and what people do to it."""

from __future__ import annotations

from schema.jobs import Json
from tests.fixtures.vector import boxes, gpkg
from tests.integration.vector.loading import Loader


def do(loader: Loader, *statements: str) -> None:
    with loader.database.connection() as conn:
        for statement in statements:
            conn.execute(statement.encode())


def load_boxes(loader: Loader, number: int, **parameters: object) -> Json:
    loader.put("a.gpkg", gpkg(boxes(number), loader.folder))
    return loader.load("a.gpkg", **parameters)
