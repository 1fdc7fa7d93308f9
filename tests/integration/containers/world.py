"""A deployment of the real job types: the real engine and PostgreSQL with pgSTAC, queues and blobs in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controllers import CONTROLLERS
from controllers.engine.engine import Engine
from schema.jobs import Job, Json
from schema.messages import JobMessage
from schema.settings import Settings
from services import HANDLERS, Handler, resolve_handler
from tests.integration.protocol.world import World
from tests.stored import get_item
from tests.unit.raster.rasters import write_bytes

CONTAINER = "bronze"
POINT = b'{"type": "Feature", "properties": {"name": "a"}, "geometry": {"type": "Point", "coordinates": [7, 51]}}'


class _Handlers(Mapping[str, Handler]):
    """All handlers, each resolved on first use."""

    def __getitem__(self, task_type: str) -> Handler:
        return resolve_handler(task_type)

    def __iter__(self) -> Iterator[str]:
        return iter(HANDLERS)

    def __len__(self) -> int:
        return len(HANDLERS)


@dataclass
class Containers(World):
    """What a test does to it."""

    folder: Path = Path()

    def __post_init__(self) -> None:
        self.controllers = dict(CONTROLLERS)
        self.handlers = _Handlers()  # type: ignore[assignment]
        self.blobs.containers[CONTAINER] = {}
        self.engine: Engine = self.new_engine(self.settings)

    def put(self, name: str, data: bytes = POINT, container: str = CONTAINER) -> str:
        self.blobs.write(container, name, data)
        return name

    def put_raster(self, name: str, **what: Any) -> str:
        return self.put(name, write_bytes(self.folder / "made.tif", **what))

    def start_job(self, job_type: str, **parameters: Any) -> Job:
        """POST a job."""
        body = json.dumps({"dataset_id": CONTAINER, **parameters}).encode()
        return self.engine.submit(job_type, body).job

    def run_job(self, job_type: str, **parameters: Any) -> Job:
        """POST a job and follow it to its end."""
        job = self.start_job(job_type, **parameters)
        self.run_all()
        return self.job(job)

    def result(self, job_type: str, **parameters: Any) -> Json:
        """The result of a job that completes."""
        job = self.run_job(job_type, **parameters)
        assert job.status == "completed", job.error
        assert job.result_data is not None
        return job.result_data

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

    def read(self, path: str) -> bytes:
        """An output, by the path that a result names."""
        container, _, blob = path.partition("/")
        return self.blobs.read(container, blob)

    def start_stage(self, job: Job) -> None:
        """Deliver the message that starts the current stage."""
        self.engine.start_stage(JobMessage(job.job_id, self.job(job).current_stage_n))


def world_settings(dsn: str, **changes: Any) -> Settings:
    """Tries follow one another at once."""
    return Settings(postgres_dsn=dsn, retry_base_seconds=0, **changes)
