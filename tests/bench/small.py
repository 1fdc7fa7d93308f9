"""Small jobs behind a large one: six files of five rows, posted 1.5 s after a GeoJSON of 184 MB; then 400 light tasks.

./dev bench small [rounds]

Before the rounds that count there is one on a host that has just started, whose workers have no child process yet.
"""

import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from local.stack import Stack
from tests.bench.vector import CONTAINER, Bench, stages_of

ROUNDS = 3
BIG, BIG_FEATURES = "big.geojson", 126_500
SMALL = tuple(f"small{number}.{extension}" for number, extension in enumerate(("geojson", "csv", "gpkg") * 2, start=1))
SMALL_ROWS = 5
CSV_OPTIONS = {"source_crs": "EPSG:4326", "latitude_column": "latitude", "longitude_column": "longitude"}
HEAD_START_SECONDS = 1.5
BAR_SECONDS = 3.0
LIGHT_TASKS = 400
POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Posted:
    """A job that was accepted."""

    name: str
    job_id: str
    at: datetime


def main(stack: Stack, arguments: list[str]) -> int:
    """Run the bench on a migrated stack; `arguments` may name the number of rounds."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(stack, Path(folder))
        for name, rows in ((BIG, BIG_FEATURES), *((name, SMALL_ROWS) for name in SMALL)):
            bench.upload(bench.make(name, rows, "EPSG:4326"))
        size = (bench.folder / BIG).stat().st_size
        print(f"{BIG}: {size / 1e6:.0f} MB; six files of {SMALL_ROWS} rows {HEAD_START_SECONDS} s later; 2 workers")
        host = stack.start_host(workers=2)
        with httpx.Client(base_url=f"{host.url}/", timeout=60) as client:
            cold = _small_behind_big(client, "cold round")
            worst = max(_small_behind_big(client, f"round {number}") for number in range(1, rounds + 1))
            _light_tasks(client, rounds)
    held = worst <= BAR_SECONDS
    print(f"slowest of the small jobs {worst:.2f} s (bar {BAR_SECONDS:g}: {'held' if held else 'MISSED'}); "
          f"in the cold round {cold:.2f} s")  # fmt: skip
    return 0


def _small_behind_big(client: httpx.Client, title: str) -> float:
    """Print one round; return the seconds from POST to completed of its slowest small job."""
    load = os.getloadavg()[0]
    big = _post_file(client, BIG)
    time.sleep(HEAD_START_SECONDS)
    small = [_post_file(client, name) for name in SMALL]
    print(f"{title}, load average {load:.1f} before it")
    seconds = []
    for posted in small:
        job = _completed(client, posted)
        seconds.append(_since(posted, job["finished_at"]))
        began = min(task["started_at"] for task in _tasks(client, posted))
        print(f"    {posted.name:<15} {seconds[-1]:5.2f} s; first task after {_since(posted, began):.2f} s", flush=True)
    job = _completed(client, big)
    print(f"    {big.name:<15} {_since(big, job['finished_at']):5.2f} s; {stages_of(job)}", flush=True)
    return max(seconds)


def _light_tasks(client: httpx.Client, rounds: int) -> None:
    seconds = []
    for number in range(rounds + 1):
        posted = _post(client, "hello_world", {"n": LIGHT_TASKS, "message": f"round {number}"})
        seconds.append(_since(posted, _completed(client, posted)["finished_at"]))
    _, *warm = seconds
    each = ", ".join(f"{one:.2f}" for one in warm)
    print(f"{LIGHT_TASKS} light tasks: {each} s, median {statistics.median(warm):.2f} s; load {os.getloadavg()[0]:.1f}")


def _post_file(client: httpx.Client, name: str) -> Posted:
    options = CSV_OPTIONS if name.endswith(".csv") else {}
    return replace(
        _post(client, "process_vector", {"dataset_id": CONTAINER, "resource_id": name, **options}), name=name
    )


def _post(client: httpx.Client, job_type: str, parameters: dict[str, Any]) -> Posted:
    at = datetime.now(UTC)
    answer = client.post(f"jobs/{job_type}", json=parameters).raise_for_status()
    return Posted(job_type, answer.json()["job_id"], at)


def _completed(client: httpx.Client, posted: Posted) -> dict[str, Any]:
    while True:
        job: dict[str, Any] = client.get(f"jobs/{posted.job_id}").raise_for_status().json()
        if job["finished_at"]:
            if job["status"] != "completed":
                raise RuntimeError(f"{posted.name}: {job['error']}")
            return job
        time.sleep(POLL_SECONDS)


def _tasks(client: httpx.Client, posted: Posted) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(f"jobs/{posted.job_id}/tasks").raise_for_status().json()["tasks"]
    return found


def _since(posted: Posted, moment: str) -> float:
    return (datetime.fromisoformat(moment) - posted.at).total_seconds()
