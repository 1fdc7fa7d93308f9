"""Tiles under the engine: one that fails is tried again alone, and a retry makes only those that failed."""

from __future__ import annotations

import pytest

from controllers.jobs.tiling import TileRaster
from schema.errors import PermanentError
from schema.jobs import Job, JobStatus, Json, task_id_of
from services.context import TaskContext
from services.raster.tiling.tasks import PlanResult, TileResult
from tests.integration.protocol.world import World

PLAN = PlanResult(
    plan_id="a" * 32, source="bronze/a.tif", tile_count=6, rows=2, cols=3, tile_width=4, tile_height=4, size_gb=1e-7,
    crs="EPSG:4326", transform=[1, 0, 0, 0, -1, 0], width=12, height=8, processing_stats={},
).as_json()  # fmt: skip
BAD = 1, 1


class Tiles:
    """Handlers of which one tile fails, as long as `broken` says so."""

    def __init__(self, world: World, broken: Exception | None) -> None:
        self.broken = broken
        self.runs: list[tuple[int, int]] = []
        world.controllers["tile_raster"] = TileRaster()
        world.handlers |= {
            "raster_plan_tiles": lambda _: PLAN, "raster_tile": self.tile,
            "raster_collect": lambda ctx: {"plan_id": ctx.parameters["plan_id"]},
        }  # fmt: skip
        world.blobs.write("bronze", "a.tif", b"")

    def tile(self, ctx: TaskContext) -> Json:
        place = ctx.parameters["row"], ctx.parameters["col"]
        self.runs.append(place)
        if place == BAD and self.broken:
            raise self.broken
        name = "r{}c{}".format(*place)
        return TileResult(name, *place, 9, 10, {"read": 0.5}, skipped=place == (0, 0)).as_json()


def run(world: World) -> Job:
    job = world.submit(TileRaster(), dataset_id="bronze", resource_id="a.tif")
    world.run_all()
    return world.job(job)


def origin(job: Job) -> tuple[int, str, int]:
    """The stage, the task and its attempt that a job's error comes from; BAD is the fifth of 2 x 3 tiles."""
    error = job.error or {}
    return error["stage_n"], error["task_id"], error["attempt"]


def test_every_tile_is_a_task_and_their_sums_are_handed_on(world: World) -> None:
    tiles = Tiles(world, None)
    job = run(world)
    assert job.status is JobStatus.COMPLETED
    assert sorted(tiles.runs) == [(row, col) for row in range(2) for col in range(3)]
    assert job.stage_data["tiles"] == {
        "created": 5, "skipped": 1, "processing_stats": {"read": 3.0, "bytes_read": 60},
    }  # fmt: skip


def test_a_tile_that_fails_is_tried_again_alone_and_a_retry_makes_only_that_one(world: World) -> None:
    tiles = Tiles(world, ValueError("unlucky"))
    job = run(world)
    assert (job.status, (job.error or {})["code"], (job.error or {})["retryable"]) == (
        JobStatus.FAILED, "tiles_failed", True,
    )  # fmt: skip
    assert "1 of 6 tiles" in (job.error or {})["message"]
    assert origin(job) == (2, task_id_of(job.job_id, 2, 5), 3)
    assert sorted(tiles.runs) == sorted([(row, col) for row in range(2) for col in range(3)] + [BAD] * 2)
    tiles.broken = None
    tiles.runs.clear()
    world.engine.retry(job.job_id)
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED
    assert tiles.runs == [BAD]


@pytest.mark.parametrize("code", ["source_changed", "raster_damaged"])
def test_what_no_retry_can_mend_is_the_error_of_the_job(world: World, code: str) -> None:
    Tiles(world, PermanentError("It is so.", remediation="Do this.", code=code))
    job = run(world)
    assert job.status is JobStatus.FAILED
    error = job.error or {}
    assert (error["code"], error["message"], error["remediation"]) == (code, "It is so.", "Do this.")
    assert not error["retryable"]
    assert origin(job) == (2, task_id_of(job.job_id, 2, 5), 1)
