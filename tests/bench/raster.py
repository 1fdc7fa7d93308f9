"""process_raster and cog_conversion against GDAL's own tools, on the same file and storage, in one run.

./dev bench raster [speed [ROUNDS] | memory | tiles | sparse]; without a name: speed.
Baselines are charged the same transfers: the SDK's download of the source and its upload of the output.
"""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import rasterio
from azure.storage.blob import BlobServiceClient
from rasterio.transform import from_origin
from rasterio.windows import Window

from local.hosts import Host
from local.stack import Stack
from tests.bench import tiles
from tests.bench.processes import tree, watching

CONTAINER = "bench"
SIDE = 10_000
BANDS = 3
ROUNDS = 3
POLL_SECONDS = 0.05
COG = ("-of", "COG", "-co", "COMPRESS=DEFLATE", "-co", "PREDICTOR=YES", "-co", "NUM_THREADS=ALL_CPUS")
WARP = ("gdalwarp", "-q", "-t_srs", "EPSG:4326", "-r", "near", *COG, "-multi", "-wo", "NUM_THREADS=ALL_CPUS")
TRANSLATE = ("gdal_translate", "-q", *COG)
CASES: dict[str, tuple[tuple[str, ...], dict[str, str], float]] = {
    "process_raster": (WARP, {"resampling": "nearest", "max_raster_size_gb": "9"}, 1.1),
    "cog_conversion": (TRANSLATE, {}, 1.2),
}
SIZES_MB = (100, 1000, 2000)


def main(stack: Stack, arguments: list[str]) -> int:
    """Run the named part."""
    part, *rest = arguments or ["speed"]
    with tempfile.TemporaryDirectory() as folder, httpx.Client(timeout=60) as client:
        bench = Bench(stack, client, Path(folder))
        if part in ("tiles", "sparse"):
            (tiles.full if part == "tiles" else tiles.sparse)(bench)
        elif part == "memory":
            bench.memory([int(size) for size in rest] or list(SIZES_MB))
        else:
            bench.speed(int(rest[0]) if rest else ROUNDS)
    return 0


class Bench:
    """One run."""

    def __init__(self, stack: Stack, client: httpx.Client, folder: Path) -> None:
        self.stack, self.client, self.folder = stack, client, folder
        self.blobs = BlobServiceClient.from_connection_string(stack.storage_connection_string)
        self.blobs.create_container(CONTAINER)
        self.blobs.create_container("baseline")

    def speed(self, rounds: int) -> None:
        """POST to completed, against fetch + GDAL's tool + put, in turns."""
        self.put("big.tif", SIDE)
        with self.host() as host:
            for job_type, (command, parameters, bar) in CASES.items():
                print(f"{job_type}, {SIDE} x {SIDE} x {BANDS} bytes in LZW strips; seconds")
                print(f"round   {command[0]:>14}   MB     geostage   MB   ratio")
                ratios = []
                for number in range(1, rounds + 1):
                    theirs, their_mb = self.baseline(command)
                    ours, our_mb, job = self.job(host, job_type, "big.tif", parameters, number)
                    ratios.append(ours / theirs)
                    times = f"{theirs:>14.1f}   {their_mb:>4.0f}   {ours:>8.1f}   {our_mb:>4.0f}"
                    print(f"{number:>5}   {times}   {ours / theirs:.2f}")
                held = "held" if median(ratios) <= bar else "missed"
                print(f"median ratio {median(ratios):.2f} (bar {bar}: {held})")
                print("by step:", job["result_data"]["processing_stats"])

    def memory(self, sizes_mb: list[int]) -> None:
        """Peak memory of the largest process in the worker's tree, each size in a fresh host."""
        peaks = []
        for size in sizes_mb:
            side = int((size * 1e6 / BANDS) ** 0.5)
            self.put("memory.tif", side)
            for job_type, (_, parameters, _) in CASES.items():
                with self.host() as host:
                    seconds, peak, _ = self.job(host, job_type, "memory.tif", parameters, size)
                peaks.append(peak)
                print(f"{job_type}, {size} MB of pixels: {peak:.0f} MB, {seconds:.1f} s")
        print(f"largest {max(peaks):.0f} MB (bar 400: {'held' if max(peaks) < 400 else 'missed'})")

    @contextmanager
    def host(self) -> Iterator[Host]:
        """One worker process."""
        host = self.stack.start_host(workers=1)
        try:
            yield host
        finally:
            host.stop()

    def put(self, name: str, side: int) -> None:
        """Make a photograph-like raster in LZW strips and upload it."""
        write_strips(self.folder / name, side)
        self.upload(name)

    def upload(self, name: str) -> None:
        """Upload a file of the folder."""
        with (self.folder / name).open("rb") as file:
            self.blobs.get_blob_client(CONTAINER, name).upload_blob(file, overwrite=True, max_concurrency=4)

    def baseline(
        self, command: tuple[str, ...], name: str = "big.tif", env: dict[str, str] | None = None
    ) -> tuple[float, float]:
        """Seconds, and peak megabytes of GDAL's tool."""
        source, target = self.folder / "fetched.tif", self.folder / "baseline.tif"
        target.unlink(missing_ok=True)
        began = time.perf_counter()
        with source.open("wb") as file:
            self.blobs.get_blob_client(CONTAINER, name).download_blob(max_concurrency=4).readinto(file)
        process = subprocess.Popen([*command, source, target], env={**os.environ, **(env or {})})
        with watching(lambda: [process.pid]) as peak:
            assert process.wait() == 0
        with target.open("rb") as file:
            self.blobs.get_blob_client("baseline", "a.tif").upload_blob(file, overwrite=True, max_concurrency=4)
        return time.perf_counter() - began, peak[0]

    def job(
        self, host: Host, job_type: str, name: str, parameters: dict[str, str], number: int
    ) -> tuple[float, float, dict[str, Any]]:
        """Seconds from POST to completed, peak megabytes of the worker's tree, and the job."""
        wanted = {key: float(value) if value.isdigit() else value for key, value in parameters.items()}
        body = {"dataset_id": CONTAINER, "resource_id": name, "version_id": f"v{number}", **wanted}
        with watching(lambda: [pid for worker in host.worker_pids() for pid in tree(worker)]) as peak:
            began = time.perf_counter()
            answer = self.client.post(f"{host.url}/jobs/{job_type}", json=body).raise_for_status().json()
            while True:
                job = self.client.get(f"{host.url}/jobs/{answer['job_id']}").raise_for_status().json()
                if job["finished_at"]:
                    break
                time.sleep(POLL_SECONDS)
            seconds = time.perf_counter() - began
        assert job["status"] == "completed", job["error"]
        return seconds, peak[0], job


def write_strips(path: Path, side: int) -> None:
    """Write waves with noise: bands by pixel, LZW, one row a strip, UTM."""
    noise = np.random.default_rng(1)
    cols = np.arange(side)
    profile: dict[str, Any] = {"width": side, "height": side, "count": BANDS, "dtype": "uint8", "crs": "EPSG:32632"}
    place = from_origin(500_000, 5_200_000, 10, 10)
    with (
        rasterio.Env(GDAL_CACHEMAX=64_000_000),
        rasterio.open(path, "w", driver="GTiff", transform=place, compress="lzw", interleave="pixel",
                      BIGTIFF="IF_SAFER", **profile) as dataset,
    ):  # fmt: skip
        for top in range(0, side, 500):
            rows = np.arange(top, min(top + 500, side))[:, None]
            waves = 127 + 60 * np.sin(cols / 300) + 50 * np.cos(rows / 200)
            shape = (BANDS, *waves.shape)
            pixels = np.clip(waves + noise.integers(-4, 5, shape) + 5 * np.arange(BANDS)[:, None, None], 1, 255)
            dataset.write(pixels.astype("uint8"), window=Window(0, top, side, len(rows)))
