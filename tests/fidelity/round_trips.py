"""Round trips: files of another process, loaded by jobs of a running host, and compared with the database."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from azure.storage.blob import BlobServiceClient

from local.hosts import Host
from local.stack import Stack
from tests.fidelity.compare import differences
from tests.fidelity.formats import FileFormat
from tests.fidelity.tables import RandomTable
from tests.fidelity.writing import write

CONTAINER = "fidelity"
_POLL_SECONDS = 0.1
_DEADLINE_SECONDS = 120
ENDED = ("completed", "completed_with_errors", "failed", "cancelled")


@dataclass
class RoundTrips:
    """A host with its storage and its database."""

    client: httpx.Client
    containers: BlobServiceClient
    database: psycopg.Connection[Any]
    writers: ProcessPoolExecutor
    loads: int = 0

    def run(self, table: RandomTable, formats: tuple[FileFormat, ...]) -> dict[str, list[str]]:
        """Load a table in each format, side by side; return by format what differs."""
        jobs = {one.name: (one, *self._submit(one, table)) for one in formats}
        found = {name: self._follow(one, job, target, table) for name, (one, job, target) in jobs.items()}
        self.database.execute(f"DROP TABLE IF EXISTS {', '.join(f'geo.{target}' for _, _, target in jobs.values())}")
        return found

    def _submit(self, one: FileFormat, table: RandomTable) -> tuple[str, str]:
        self.loads += 1
        target = f"t{self.loads}"
        shapes = [None if shape is None else shape.wkb for shape in table.shapes]
        data = self.writers.submit(write, one.name, one.columns_of(table), shapes, table.crs).result()
        blob = f"{target}{one.suffix}"
        self.containers.get_blob_client(CONTAINER, blob).upload_blob(data)
        body = {
            "dataset_id": CONTAINER,
            "resource_id": blob,
            "target_table": target,
            "target_crs": table.crs,
            "chunk_size": 4,
            "keep_null_geometry": True,
            "max_rejected": 0,
            **({"source_crs": table.crs} if one.name == "csv_xy" else {}),
        }
        answer = self.client.post("jobs/process_vector", json=body).raise_for_status()
        return answer.json()["job_id"], target

    def _follow(self, one: FileFormat, job_id: str, target: str, table: RandomTable) -> list[str]:
        deadline = time.monotonic() + _DEADLINE_SECONDS
        while (job := self.client.get(f"jobs/{job_id}").json())["status"] not in ENDED:
            if time.monotonic() > deadline:
                return ["the job does not end"]
            time.sleep(_POLL_SECONDS)
        if job["status"] != "completed":
            return [f"{job['error']['code']}: {job['error']['message']}"]
        return differences(self.database, target, one, table)


@contextmanager
def round_trips(stack: Stack, host: Host) -> Iterator[RoundTrips]:
    """Return what runs round trips through a host of a stack."""
    spawning = multiprocessing.get_context("spawn")
    with (
        httpx.Client(base_url=f"{host.url}/", timeout=60) as client,
        BlobServiceClient.from_connection_string(stack.storage_connection_string) as containers,
        psycopg.connect(stack.postgres_dsn, autocommit=True) as database,
        ProcessPoolExecutor(1, mp_context=spawning) as writers,
    ):
        containers.create_container(CONTAINER)
        yield RoundTrips(client, containers, database, writers)
