"""A container and its catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from schema.jobs import Job, Json
from schema.messages import JobMessage
from schema.settings import Settings
from tests.fixtures.stored import get_item
from tests.fixtures.world import CONTAINER, EngineWorld

POINT = b'{"type": "Feature", "properties": {"name": "a"}, "geometry": {"type": "Point", "coordinates": [7, 51]}}'


@dataclass
class Containers(EngineWorld):
    """A deployment with a container, and what a test does to it."""

    def put(self, name: str, data: bytes = POINT, container: str = CONTAINER) -> str:
        return super().put(name, data, container)

    def sync(self, **parameters: Any) -> Json:
        """The result of sync_container."""
        return self.result("sync_container", **parameters)

    def item(self, stac_id: str, collection: str = CONTAINER) -> Json | None:
        """An item as the catalogue has it."""
        with self.database.connection() as conn:
            return get_item(conn, collection, stac_id)

    def items(self, collection: str = CONTAINER) -> dict[str, Json]:
        """All items of a collection, by the blob that they were made of."""
        rows = self.sql("SELECT id FROM pgstac.items WHERE collection = %s", [collection])
        found = [self.item(row["id"], collection) for row in rows]
        return {one["properties"]["geostage:blob"]: one for one in found if one}

    def start_stage(self, job: Job) -> None:
        """Deliver the message that starts the current stage."""
        self.engine.start_stage(JobMessage(job.job_id, self.job(job).current_stage_n))


def world_settings(dsn: str, **changes: Any) -> Settings:
    """Tries follow one another at once."""
    return Settings(postgres_dsn=dsn, retry_base_seconds=0, **changes)
