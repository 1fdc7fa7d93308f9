"""Rasters in tiles: a sparse one of 31.8 GB, and a full one of 3 GB against gdalwarp with one thread.

Run by tests/bench/raster.py: ./dev bench raster tiles | sparse.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.io import DatasetReader
from rasterio.transform import from_origin
from rasterio.warp import transform
from rasterio.windows import Window

from local.hosts import Host
from services.raster.options import Options
from services.raster.output.warp import open_warped, read_block
from services.raster.planning.plan import plan_process
from services.raster.source.facts import facts_of
from services.raster.source.gdal import gdal_environment, open_tiff
from tests.bench.processes import cpu_seconds, tree
from tests.fixtures.network import NETWORK

if TYPE_CHECKING:
    from tests.bench.raster import Bench

ONE_THREAD = {"GDAL_NUM_THREADS": "1"}
WARP = (
    "gdalwarp", "-q", "-t_srs", "EPSG:4326", "-r", "near", "-of", "COG", "-co", "COMPRESS=DEFLATE", "-co",
    "PREDICTOR=YES", "-co", "NUM_THREADS=1",
)  # fmt: skip
FULL_SIDE, BASELINE_SIDE = 31_623, 10_000
"""Squares of 3 GB and of 0.3 GB of three bytes a pixel: gdalwarp's rate does not depend on the size."""
SPARSE_SIZE = 103_000, 102_914
PLACES = (0, 0), (45_000, 3_000), (88_000, 60_000), (20_000, 95_000)
"""Columns and rows of the squares of 2048 pixels that the sparse raster holds."""
SEAM, SEAM_WIDTH = 50_000, 30_000
"""Column and row of a strip of 40 rows, and its width: it lies in more than one tile."""
BLOCK = 512
NEAREST = {"resampling": "nearest"}
PLAN_BAR, RATE_BAR, WORKERS_BAR, MEMORY_BAR = 5.0, 0.8, 1.4, 400
TILED: dict[str, Any] = {
    "driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32632", "nodata": 0, "interleave": "pixel",
    "tiled": True, "blockxsize": BLOCK, "blockysize": BLOCK, "compress": "deflate", "zlevel": 1, "BIGTIFF": "YES",
    "SPARSE_OK": True, "num_threads": "all_cpus", "transform": from_origin(300_000, 5_600_000, 5, 5),
}  # fmt: skip


def full(bench: Bench) -> None:
    """Print MB/s of gdalwarp with one thread and of one and of two workers, and the peaks of memory."""
    _put(bench, "part.tif", BASELINE_SIDE)
    theirs, their_mb, their_cpu = _baseline(bench, "part.tif")
    rate = BASELINE_SIDE**2 * 3 / 1e6 / theirs
    print(
        f"gdalwarp, one thread, 0.3 GB: {theirs:.1f} s, {rate:.1f} MB/s, CPU {their_cpu:.1f} s, {their_mb:.0f} MB",
        flush=True,
    )
    _put(bench, "full.tif", FULL_SIDE)
    megabytes, seconds = FULL_SIDE**2 * 3 / 1e6, {}
    for workers in (1, 2):
        with _host(bench, workers) as host:
            seconds[workers], peak, job = bench.job(host, "process_large_raster", "full.tif", NEAREST, workers)
            used = sum(cpu_seconds(pid) for worker in host.worker_pids() for pid in tree(worker))
        print(
            f"{workers} worker(s), 3 GB, {job['result_data']['tiles_created']} tiles: {seconds[workers]:.1f} s, "
            f"{megabytes / seconds[workers]:.1f} MB/s, CPU {used:.1f} s, largest process {peak:.0f} MB "
            f"({_held(peak < MEMORY_BAR)} below {MEMORY_BAR})"
        )
        print(f"  stages {_stages(job)}; sums {job['result_data']['processing_stats']['tiles']}")
        if workers == 1:
            ratio = megabytes / seconds[1] / rate
            by_cpu = (megabytes / used) / (BASELINE_SIDE**2 * 3 / 1e6 / their_cpu)
            print(f"  of gdalwarp's rate: {ratio:.2f} ({_held(ratio >= RATE_BAR)} at {RATE_BAR}); by CPU {by_cpu:.2f}")
    gain = seconds[1] / seconds[2]
    print(f"two workers against one: {gain:.2f} ({_held(gain >= WORKERS_BAR)} at {WORKERS_BAR})")


def sparse(bench: Bench) -> None:
    """Plan and process a raster of 31.8 GB of which four tiles and a strip across a seam hold anything."""
    path = bench.folder / "sparse.tif"
    width, height = SPARSE_SIZE
    _write_sparse(path)
    print(
        f"{width} x {height} x 3 bytes, {width * height * 3 / 1e9:.1f} GB nominal, {path.stat().st_size / 1e6:.0f} MB"
    )
    bench.upload("sparse.tif")
    with _host(bench, 2) as host:
        seconds, peak, job = bench.job(host, "process_large_raster", "sparse.tif", NEAREST, 1)
    plan = job["stage_history"][0]["duration_seconds"]
    result = job["result_data"]
    count = job["stage_data"]["plan"]["tile_count"]
    print(f"planned in {plan:.2f} s ({_held(plan < PLAN_BAR)} below {PLAN_BAR}), {count} tiles")
    print(f"done in {seconds:.1f} s, {result['tiles_created']} tiles made, {result['tiles_skipped']} skipped")
    print(f"stages {_stages(job)}; largest process {peak:.0f} MB")
    compared, filled, different = _compare(bench, path, result["vrt_path"])
    print(f"{compared} blocks, {filled} with pixels, against the warp of the local file: {different} differ")


def _compare(bench: Bench, path: Path, vrt_path: str) -> tuple[int, int, int]:
    """Compare blocks of the mosaic, as it is opened from storage, with the local file warped to the same grid."""
    with (
        gdal_environment(),
        open_tiff(path) as dataset,
        rasterio.Env(**NETWORK, AZURE_STORAGE_CONNECTION_STRING=bench.stack.storage_connection_string),
        rasterio.open(f"/vsiaz/{vrt_path}") as mosaic,
    ):
        plan = plan_process("sparse.tif", dataset, facts_of(dataset), Options(resampling="nearest"))
        assert plan.warp
        assert (mosaic.width, mosaic.height) == (plan.warp.grid.width, plan.warp.grid.height)
        compared = different = filled = 0
        with open_warped(dataset, plan, plan.warp) as warped:
            for window in _around(dataset, mosaic):
                expected = read_block(warped, plan, window)[0]
                compared += 1
                filled += bool(expected.any())
                different += not np.array_equal(mosaic.read(window=window), expected)
    return compared, filled, different


def _around(dataset: DatasetReader, mosaic: DatasetReader) -> list[Window]:
    """Blocks of the mosaic's grid that hold the corners of what is stored, and points along the strip."""
    corners = [(col + x, row + y) for col, row in PLACES for x in (0, 1000, 2047) for y in (0, 1000, 2047)]
    points = [*corners, *((SEAM + x, SEAM + 20) for x in range(0, SEAM_WIDTH, 500))]
    found = [dataset.transform @ point for point in points]
    xs, ys = transform(dataset.crs, mosaic.crs, [x for x, _ in found], [y for _, y in found])
    places = {tuple(int(v // BLOCK) for v in ~mosaic.transform @ place) for place in zip(xs, ys, strict=True)}
    return [
        Window(
            col * BLOCK, row * BLOCK, min(BLOCK, mosaic.width - col * BLOCK), min(BLOCK, mosaic.height - row * BLOCK)
        )
        for col, row in sorted(places)
        if 0 <= col * BLOCK < mosaic.width and 0 <= row * BLOCK < mosaic.height
    ]


def _put(bench: Bench, name: str, side: int) -> None:
    """Write a square of waves with noise, in tiles, and upload it."""
    noise = np.random.default_rng(1).integers(-4, 5, (3, BLOCK, side + 997), np.int8)
    cols, drift = np.arange(side), 5 * np.arange(3)[:, None, None]
    with (
        rasterio.Env(GDAL_CACHEMAX=256_000_000),
        rasterio.open(bench.folder / name, "w", width=side, height=side, **TILED) as dataset,
    ):
        for number, top in enumerate(range(0, side, BLOCK)):
            rows = np.arange(top, min(top + BLOCK, side))[:, None]
            waves = (127 + 60 * np.sin(cols / 300) + 50 * np.cos(rows / 200)).astype(np.int16)
            shift = number * 31 % 997
            pixels = np.clip(waves + noise[:, : len(rows), shift : shift + side] + drift, 1, 255)
            dataset.write(pixels.astype("uint8"), window=Window(0, top, side, len(rows)))
    bench.upload(name)


def _write_sparse(path: Path) -> None:
    noise = np.random.default_rng(2)
    with rasterio.open(path, "w", width=SPARSE_SIZE[0], height=SPARSE_SIZE[1], **TILED) as dataset:
        for col, row in PLACES:
            dataset.write(noise.integers(1, 255, (3, 2048, 2048), np.uint8), window=Window(col, row, 2048, 2048))
        dataset.write(noise.integers(1, 255, (3, 40, SEAM_WIDTH), np.uint8), window=Window(SEAM, SEAM, SEAM_WIDTH, 40))


def _baseline(bench: Bench, name: str) -> tuple[float, float, float]:
    """Seconds of fetch, gdalwarp and put; peak megabytes and CPU seconds of gdalwarp."""
    before = os.times()
    seconds, peak = bench.baseline(WARP, name, ONE_THREAD)
    after = os.times()
    return seconds, peak, after.children_user + after.children_system - before.children_user - before.children_system


@contextmanager
def _host(bench: Bench, workers: int) -> Iterator[Host]:
    host = bench.stack.start_host(workers=workers, env=ONE_THREAD)
    try:
        yield host
    finally:
        host.stop()


def _stages(job: dict[str, Any]) -> str:
    return ", ".join(f"{stage['stage']} {stage['duration_seconds']:.1f} s" for stage in job["stage_history"])


def _held(holds: bool) -> str:
    return "held" if holds else "missed"
