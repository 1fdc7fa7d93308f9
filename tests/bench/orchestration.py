"""Orchestration: 500 empty tasks against 500 runs of an empty queue function, and the latency of a stage hop.

The baseline runs in the same host, and its messages are sent by the same code. The two take turns.
"""

import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from local.hosts import Host
from local.stack import Stack
from repositories.storage.queues import AzureQueues
from schema.settings import Settings

PROJECT = Path(__file__).parents[2]
EMPTY_QUEUE = "bench-empty"
"""Named in empty_app.py."""
TASKS = 500
ROUNDS = 5
HOPS = 20
POLL_SECONDS = 0.02
BAR = 0.8


def main(stack: Stack, arguments: list[str]) -> int:
    """Run the bench on a migrated stack; `arguments` may name the number of rounds."""
    rounds = int(arguments[0]) if arguments else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        app = Path(folder)
        for part in ("tests/bench/empty_app.py", "host.json"):
            shutil.copy(PROJECT / part, app)
        (app / "empty_app.py").rename(app / "function_app.py")
        host = stack.start_host(workers=2, project=app)
        with httpx.Client(timeout=60) as client:
            _rates(client, host, stack, rounds)
            _hops(client, host)
    return 0


def _rates(client: httpx.Client, host: Host, stack: Stack, rounds: int) -> None:
    queues = AzureQueues(Settings(postgres_dsn="-", storage_connection_string=stack.storage_connection_string))
    _run_baseline(client, host, queues)
    _run_job(client, host.url, "hello_world", {"n": TASKS, "message": "warm-up"})
    pairs = []
    print(f"{TASKS} empty tasks, 2 workers; rates in 1/s")
    print("round   empty function   hello_world   ratio")
    for number in range(1, rounds + 1):
        baseline = TASKS / _run_baseline(client, host, queues)
        job = TASKS / _run_job(client, host.url, "hello_world", {"n": TASKS, "message": f"round {number}"})[0]
        pairs.append(job / baseline)
        print(f"{number:>5}   {baseline:>14.0f}   {job:>11.0f}   {job / baseline:>5.2f}")
        _drain(queues)
    ratio = statistics.median(pairs)
    print(f"median ratio {ratio:.2f} (bar {BAR}: {'held' if ratio >= BAR else 'missed'})")


def _run_baseline(client: httpx.Client, host: Host, queues: AzureQueues) -> float:
    began = time.perf_counter()
    client.post(f"{host.url}/bench/{TASKS}").raise_for_status()
    while queues.count(EMPTY_QUEUE):
        time.sleep(POLL_SECONDS)
    return time.perf_counter() - began


def _run_job(client: httpx.Client, api: str, job_type: str, parameters: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    job_id = client.post(f"{api}/jobs/{job_type}", json=parameters).raise_for_status().json()["job_id"]
    while True:
        job = client.get(f"{api}/jobs/{job_id}").raise_for_status().json()
        if job["finished_at"]:
            assert job["status"] == "completed", job
            return time.perf_counter() - began, job
        time.sleep(POLL_SECONDS)


def _drain(queues: AzureQueues) -> None:
    # Messages of tasks that had ended before theirs came would slow the next round down.
    while any(queues.count(queue) for queue in ("geo-jobs", "geo-light-tasks")):
        time.sleep(POLL_SECONDS)


def _hops(client: httpx.Client, host: Host) -> None:
    hops: list[float] = []
    for number in range(HOPS):
        _, job = _run_job(client, host.url, "hello_world_sequential", {"n": 3, "message": f"hop {number}"})
        tasks = client.get(f"{host.url}/jobs/{job['job_id']}/tasks").json()["tasks"]
        hops += [_hop(tasks, stage_n) for stage_n in (1, 2)]
    hops.sort()
    p95 = hops[int(0.95 * (len(hops) - 1))]
    print(f"stage hop, {len(hops)} of them: p50 {1000 * statistics.median(hops):.0f} ms, p95 {1000 * p95:.0f} ms")


def _hop(tasks: Sequence[dict[str, Any]], stage_n: int) -> float:
    ends = [datetime.fromisoformat(task["finished_at"]) for task in tasks if task["stage_n"] == stage_n]
    starts = [datetime.fromisoformat(task["started_at"]) for task in tasks if task["stage_n"] == stage_n + 1]
    return (min(starts) - max(ends)).total_seconds()
