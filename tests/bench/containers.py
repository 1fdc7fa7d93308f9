"""A container of many blobs on Azurite: synced twice, with a change, without a third of it, and listed.

./dev bench containers [BLOBS]; 5,000 by default: four fifths small GeoTIFFs, one fifth GeoJSON, in twenty folders.
"""

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient, ContainerClient

from local.stack import Stack
from tests.fixtures import vector
from tests.fixtures.rasters import ramp, write_bytes

CONTAINER = "many"
BLOBS = 5_000
FOLDERS = 20
POLL_SECONDS = 0.2


def main(stack: Stack, arguments: list[str]) -> int:
    """Run it."""
    count = int(arguments[0]) if arguments else BLOBS
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        container = service.create_container(CONTAINER)
        fill(container, count)
        host = stack.start_host(workers=2)
        with httpx.Client(base_url=f"{host.url}/", timeout=60) as client:
            print(f"{count} blobs; load {os.getloadavg()[0]:.1f}")
            run(client, "list_container", {})
            run(client, "sync_container", {})
            run(client, "sync_container", {})
            container.upload_blob(name_of(0), b"no GeoJSON", overwrite=True)
            for number in range(1, count, 3):
                container.delete_blob(name_of(number))
            run(client, "sync_container", {})
            run(client, "sync_container", {"remove_missing": True})
            run(client, "sync_container", {})
            print(f"load {os.getloadavg()[0]:.1f}")
    return 0


def fill(container: ContainerClient, count: int) -> None:
    """Upload the files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tif = write_bytes(folder / "a.tif", pixels=ramp()[:, :64, :64])
        geojson = vector.geojson(vector.boxes(20), folder)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda n: container.upload_blob(name_of(n), tif if n % 5 else geojson), range(count)))


def name_of(number: int) -> str:
    """Name a file."""
    return f"y{2000 + number % FOLDERS}/{number:06d}.{'tif' if number % 5 else 'geojson'}"


def run(client: httpx.Client, job_type: str, more: dict[str, Any]) -> None:
    """Run a job, and print how long it and its stages took."""
    began = time.perf_counter()
    answer = client.post(f"jobs/{job_type}", json={"dataset_id": CONTAINER, **more})
    job_id = answer.raise_for_status().json()["job_id"]
    while (job := client.get(f"jobs/{job_id}").json())["finished_at"] is None:
        time.sleep(POLL_SECONDS)
    stages = ", ".join(f"{h['stage']} ({h['task_count']}) {h['duration_seconds']:.1f}" for h in job["stage_history"])
    print(f"{job_type} {more or ''}: {time.perf_counter() - began:.1f} s, {job['status']}; {stages}")
    summary = job["result_data"]["summary"]
    shown = ("total_files", "unchanged", "new", "changed", "catalogued", "failed", "missing", "removed")
    print("   ", ", ".join(f"{key} {summary[key]}" for key in shown if key in summary))
