"""Packed blobs of many sizes on Azurite, each loaded by process_vector, and rasters that the POST refuses.

./dev bench encodings [MEGABYTES ...]; 1, 31, 33, 35, 47 and 120 by default, as the blobs are stored.
"""

import itertools
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from azure.storage.blob import BlobServiceClient

from local.stack import Stack
from tests.fixtures.packed import TEXT_FORMATS, raster_file, upload_packed, vector_file

CONTAINER = "packed"
SIZES_MB = (1, 31, 33, 35, 47, 120)
ROWS = 30_000
POLL_SECONDS = 0.2


def main(stack: Stack, arguments: list[str]) -> int:
    """Run it; gives the number of cases that neither load all rows nor are refused with one clear error."""
    sizes = [int(argument) for argument in arguments] or SIZES_MB
    wrong = 0
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        service.create_container(CONTAINER)
        host = stack.start_host(workers=2)
        with httpx.Client(base_url=f"{host.url}/", timeout=60) as client:
            print(f"{ROWS} rows; load {os.getloadavg()[0]:.1f}")
            for size, suffix in itertools.product(sizes, (*TEXT_FORMATS, "tif")):
                stored = upload(service, suffix, size * 10**6)
                began = time.perf_counter()
                told, right = outcome(client, suffix)
                wrong += not right
                seconds = time.perf_counter() - began
                print(f"{suffix:8} {stored / 1e6:6.1f} MB {seconds:6.1f} s  {told}", flush=True)
            for encoding in ("deflate", "br"):
                upload_packed(service, CONTAINER, "a.csv", b"id\n1\n", encoding)
                told, right = outcome(client, "csv", refused=True)
                wrong += not right
                print(f"{encoding:8} {told}")
            print(f"load {os.getloadavg()[0]:.1f}")
    print(f"{wrong} cases are wrong", file=sys.stderr if wrong else sys.stdout)
    return min(wrong, 1)


def upload(service: BlobServiceClient, suffix: str, packed_bytes: int) -> int:
    """Upload a packed file; gives its stored size."""
    if suffix != "tif":
        data = vector_file(suffix, ROWS, packed_bytes)
    else:
        with tempfile.TemporaryDirectory() as folder:
            data = raster_file(Path(folder), packed_bytes)
    return upload_packed(service, CONTAINER, f"a.{suffix}", data)


def outcome(client: httpx.Client, suffix: str, *, refused: bool = False) -> tuple[str, bool]:
    """Run the job of a file; gives what came of it, and whether that is right."""
    body = {"dataset_id": CONTAINER, "resource_id": f"a.{suffix}"}
    job_type = "process_raster" if suffix == "tif" else "process_vector"
    answer = client.post(f"jobs/{job_type}", json=body)
    if answer.status_code == 400:
        problem = answer.json()
        right = problem["code"] == "content_encoding_unsupported" and (refused or suffix == "tif")
        return f"refused: {problem['code']}: {problem['detail']}", right
    job = finished(client, answer.raise_for_status().json()["job_id"])
    if job["status"] != "completed":
        return f"{job['status']}: {job['error']}", False
    rows = job["result_data"]["total_features_loaded"]
    return f"{rows} rows", rows == ROWS and not refused


def finished(client: httpx.Client, job_id: str) -> Any:
    """Wait for the end of a job, and give it."""
    while (job := client.get(f"jobs/{job_id}").json())["finished_at"] is None:
        time.sleep(POLL_SECONDS)
    return job
