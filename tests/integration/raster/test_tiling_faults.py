"""Tiles and plans that are refused, and what goes wrong while a raster is tiled."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from psycopg.types.json import Jsonb

from repositories.storage.fake_blobs import FakeBlobs
from schema.errors import InvalidRequest, PermanentError, SourceChanged, TaskInterrupted, TransientError
from schema.jobs import Json, Source, new_job_id
from services import resolve_handler
from services.context import TaskContext
from services.handlers.tiling import make_tile
from services.raster import errors
from tests.fixtures.rasters import ramp
from tests.integration.raster.refusals import refused
from tests.integration.raster.tiling import SMALL, nominal, rows
from tests.integration.raster.world import World

pytestmark = pytest.mark.usefixtures("no_context_is_left_open")

TILE_TYPES = ["process_large_raster", "tile_raster"]


def queue(world: World, job_id: str) -> None:
    """Have a job that has not ended; one of this id that has is forgotten."""
    with world.database.connection() as conn:
        conn.execute("DELETE FROM app.tasks WHERE job_id = %s", [job_id])
        conn.execute("DELETE FROM app.jobs WHERE job_id = %s", [job_id])
        conn.execute(
            "INSERT INTO app.jobs (job_id, job_type, parameters, stages, stage_sequence, dedup_key, resend_at,"
            " deadline_at) VALUES (%s, 'tile_raster', '{}', 3, %s, %s, now(), now())",
            [job_id, Jsonb({"1": "plan"}), job_id],
        )


def test_a_raster_that_one_task_can_process_is_no_large_one(world: World) -> None:
    error = refused(world, "process_large_raster", world.put_raster("a.tif"), "raster_too_small")
    assert "process_raster" in error.remediation


def test_a_plan_of_a_small_raster_makes_no_large_one(world: World) -> None:
    name = world.put_raster("a.tif")
    plan = world.run("generate_tiling_plan", name)["plan_id"]
    refused(world, "process_large_raster", name, "raster_too_small", plan_id=plan)


def test_a_large_raster_is_what_process_raster_refuses(world: World) -> None:
    name = world.put_raster("a.tif", nodata=0)
    refused(world, "process_raster", name, "raster_too_large", max_raster_size_gb=0.0004)
    assert world.run("process_large_raster", name, max_raster_size_gb=0.0004, **SMALL)["tiles_created"] > 2


@pytest.mark.parametrize("size", [0, -1, 1001, "nan"])
def test_a_target_of_no_size_is_refused_at_the_post(world: World, size: Any) -> None:
    with pytest.raises(InvalidRequest, match="target_tile_size_gb"):
        world.run("tile_raster", world.put_raster("a.tif"), target_tile_size_gb=size)


def test_more_tiles_than_a_plan_may_have_are_refused_with_the_smallest_size_that_fits(world: World) -> None:
    name = nominal(world)
    error = refused(world, "generate_tiling_plan", name, "too_many_tiles", target_tile_size_gb=0.001)
    smallest = float(error.remediation.split()[-3])
    assert world.run("generate_tiling_plan", name, target_tile_size_gb=smallest)["tile_count"] <= 10_000
    refused(world, "generate_tiling_plan", name, "too_many_tiles", target_tile_size_gb=smallest * 0.9)


@pytest.mark.parametrize("job_type", TILE_TYPES)
def test_a_plan_that_nobody_made(world: World, job_type: str) -> None:
    refused(world, job_type, world.put_raster("a.tif"), "plan_not_found", plan_id=new_job_id())


def test_a_plan_of_another_source(world: World) -> None:
    plan = world.run("generate_tiling_plan", world.put_raster("a.tif"))["plan_id"]
    error = refused(world, "tile_raster", world.put_raster("b.tif"), "plan_of_another_source", plan_id=plan)
    assert "bronze/a.tif" in error.message


def test_a_plan_of_the_file_before_it_was_replaced(world: World) -> None:
    plan = world.run("generate_tiling_plan", world.put_raster("a.tif"))["plan_id"]
    world.put_raster("a.tif", pixels=ramp(20, 20))
    error = refused(world, "tile_raster", "a.tif", "plan_of_another_source", plan_id=plan)
    assert "replaced" in error.message


def test_a_plan_that_another_job_is_working_on(world: World) -> None:
    name = world.put_raster("a.tif")
    plan, other = world.run("generate_tiling_plan", name)["plan_id"], new_job_id()
    with world.database.connection() as conn:
        conn.execute("UPDATE geo.tiling_plans SET job_id = %s WHERE plan_id = %s", [other, plan])
    queue(world, other)
    assert other in refused(world, "tile_raster", name, "plan_taken", plan_id=plan).message


@pytest.mark.parametrize("planned", [False, True])
def test_a_version_that_another_job_is_making_is_refused_and_another_version_is_not(
    world: World, planned: bool
) -> None:
    # The database is that of all tests: no other one makes this version.
    name = world.put_raster(f"taken-{planned}.tif")
    more = {"plan_id": world.run("generate_tiling_plan", name)["plan_id"]} if planned else {}
    other = world.run("tile_raster", name, **SMALL)["plan_id"]
    queue(world, other)
    assert other in refused(world, "tile_raster", name, "output_taken", **more).message
    assert world.run("generate_tiling_plan", name)["tile_count"] == 1
    assert world.run("tile_raster", name, version_id="v2", **more)["tiles_created"] == 1


def test_a_task_of_a_job_that_lost_its_plan_writes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = world.put_raster("a.tif")
    plan = world.run("generate_tiling_plan", name)["plan_id"]
    publish = FakeBlobs.publish

    def taken(blobs: FakeBlobs, *args: Any, **more: Any) -> None:
        publish(blobs, *args, **more)
        rows(world, "UPDATE geo.tiling_plans SET job_id = %s RETURNING 1 AS n", new_job_id())

    monkeypatch.setattr(FakeBlobs, "publish", taken)
    with pytest.raises(PermanentError) as raised:
        world.run("tile_raster", name, plan_id=plan)
    assert raised.value.error_code == "plan_taken"
    assert rows(world, "SELECT status::text FROM geo.tiles WHERE plan_id = %s", plan) == [{"status": "planned"}]


@pytest.mark.parametrize("more", [{"target_crs": "EPSG:3857"}, {"target_tile_size_gb": 1}, {"resampling": "cubic"}])
def test_what_a_plan_decides_cannot_be_asked_for_beside_it(world: World, more: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest, match=f"plan_id decides {next(iter(more))}"):
        world.run("tile_raster", world.put_raster("a.tif"), plan_id=new_job_id(), **more)


def test_lossless_is_refused_because_all_tiles_have_one_type(world: World) -> None:
    with pytest.raises(InvalidRequest, match="optimize"):
        world.run("tile_raster", world.put_raster("a.tif"), optimize="lossless")


@pytest.mark.parametrize("fate", ["replaced", "removed"])
@pytest.mark.parametrize("after", ["raster_plan_tiles", "raster_tile"])
def test_a_source_that_disappears_on_the_way(world: World, fate: str, after: str) -> None:
    name = world.put_raster("a.tif", nodata=0)
    handler = resolve_handler(after)

    def then_gone(ctx: TaskContext) -> Json:
        result = handler(ctx)
        world.blobs.containers["bronze"].pop(name, None)
        if fate == "replaced":
            world.put_raster(name, pixels=ramp(20, 20))
        return result

    world.handlers[after] = then_gone
    with pytest.raises(PermanentError) as raised:
        world.run("tile_raster", name, collection_id=f"{fate}-{after}", **SMALL)
    assert raised.value.error_code == "source_changed"
    assert not [blob for blob in world.published() if blob.endswith(("mosaic.vrt", "mosaic.json"))]


def test_a_source_that_is_replaced_in_the_middle_of_a_tile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.handlers["raster_tile"] = partial(make_tile, piece_bytes=256)
    name = world.put_raster("a.tif", pixels=ramp(700, 600), tiled=True, blockxsize=256, blockysize=256)
    read_range, reads = FakeBlobs.read_range, list[int]()

    def replaced(blobs: FakeBlobs, source: Source, offset: int, length: int) -> bytes:
        reads.append(offset)
        if len(reads) == 12:
            blobs.write(source.container, source.blob, b"another")
        return read_range(blobs, source, offset, length)

    monkeypatch.setattr(FakeBlobs, "read_range", replaced)
    with pytest.raises(SourceChanged):
        world.run("tile_raster", name, **SMALL)
    assert not [blob for blob in world.published() if blob.endswith("mosaic.vrt")]


def test_a_damaged_block_fails_the_tile_that_needs_it(world: World) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1, 700, 700)).astype("uint8")
    name = world.put_raster("a.tif", pixels=noise, compress="deflate", tiled=True, blockxsize=256, blockysize=256)
    data = bytearray(world.blobs.read("bronze", name))
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    world.put(name, bytes(data))
    with pytest.raises(PermanentError, match=r"tile r[01]c[01]") as raised:
        world.run("tile_raster", name, target_crs="native", **SMALL)
    assert raised.value.error_code == "raster_damaged"


def test_a_cancelled_tile_stops_at_the_next_block_and_leaves_nothing(world: World) -> None:
    looks = iter([False] * 2)
    world.before_task = lambda ctx: setattr(ctx, "lost", lambda: next(looks, True))
    name = world.put_raster("a.tif", pixels=ramp(1500, 1500))
    with pytest.raises(TaskInterrupted):
        world.run("tile_raster", name)
    assert world.published() == []
    assert rows(world, "SELECT 1 FROM geo.tiles AS t JOIN geo.tiling_plans AS p USING (plan_id) "
                       "WHERE t.status <> 'planned' AND blob = 'a.tif' AND p.width = 1500") == []  # fmt: skip


def test_a_disk_that_is_full_is_noticed_before_a_tile_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise errors.DiskFull("The task needs more.", remediation="Give it more.")

    monkeypatch.setattr("services.raster.tiling.cut.check_disk", full)
    with pytest.raises(TransientError):
        world.run("tile_raster", world.put_raster("a.tif"))
    assert world.published() == []
