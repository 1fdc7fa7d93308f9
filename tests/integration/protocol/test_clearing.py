"""What an ended job leaves: its work area goes, a large result becomes a blob."""

import json

import pytest

from controllers.base import JobOutcome
from controllers.engine.dispatch import MAX_RESULT_BYTES
from controllers.jobs.tiling import GenerateTilingPlan
from repositories.storage.errors import StorageUnavailable
from repositories.storage.fake_blobs import FakeBlobs
from schema.errors import PermanentError
from schema.jobs import Job, JobStatus, Json
from services.context import TaskContext
from tests.integration.protocol.world import World, broken

WORK = "geostage-work"
LARGE = "x" * MAX_RESULT_BYTES


def fill_work_area(ctx: TaskContext) -> Json:
    """A work blob and a staging table, as the vector tasks make them."""
    ctx.blobs.write(WORK, f"{ctx.work_prefix}chunk-1", b"rows")
    with ctx.database.connection() as conn:
        conn.execute(f"CREATE TABLE IF NOT EXISTS geostage_work.s_{ctx.job_id} (n integer)".encode())
    return {}


def work_area(world: World, job: Job) -> list[str]:
    blobs = [name for name in world.blobs.containers.get(WORK, {}) if name.startswith(job.job_id)]
    tables = world.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'geostage_work'")
    return blobs + [row["tablename"] for row in tables if job.job_id in row["tablename"]]


def half_done(world: World) -> Job:
    job = world.started(2)
    world.handlers["work"] = fill_work_area
    world.execute(world.claim(job))
    assert len(work_area(world, job)) == 2
    return job


def test_the_work_area_of_a_completed_job_goes_at_once(world: World) -> None:
    job = half_done(world)
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED
    assert work_area(world, job) == []


def test_the_work_area_of_a_cancelled_job_goes_at_once(world: World) -> None:
    job = half_done(world)
    world.engine.cancel(job.job_id)
    assert work_area(world, job) == []


def test_the_work_area_of_a_job_that_failed_for_good_goes_at_once(world: World) -> None:
    def hopeless(_: TaskContext) -> Json:
        raise PermanentError("no layer")

    job = half_done(world)
    world.handlers["work"] = hopeless
    world.run_all()
    assert work_area(world, job) == []


def test_the_work_area_of_a_job_that_can_be_tried_again_is_kept_for_a_day(world: World) -> None:
    job = half_done(world)
    world.handlers["work"] = broken
    world.run_all()
    world.sweep()
    assert len(work_area(world, job)) == 2
    world.sql("UPDATE app.jobs SET clear_at = clear_at - interval '25 hours'")
    world.sweep()
    assert work_area(world, job) == []


def test_what_a_late_worker_leaves_goes_with_the_second_clearing(world: World) -> None:
    job = half_done(world)
    world.engine.cancel(job.job_id)
    world.blobs.write(WORK, f"{job.job_id}/late", b"rows")
    world.sql("UPDATE app.jobs SET clear_at = clear_at - interval '16 minutes'")
    world.sweep()
    assert work_area(world, job) == []
    assert world.job(job).clear_at is None


def test_a_clearing_that_fails_is_repeated_until_it_goes_well(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> int:
        raise StorageUnavailable("away")

    job = half_done(world)
    with monkeypatch.context() as patch:
        patch.setattr(FakeBlobs, "delete_prefix", away)
        world.engine.cancel(job.job_id)
        for _ in range(3):
            world.sql("UPDATE app.jobs SET clear_at = clear_at - interval '16 minutes'")
            world.sweep()
    assert len(work_area(world, job)) == 1
    world.sql("UPDATE app.jobs SET clear_at = clear_at - interval '16 minutes'")
    world.sweep()
    assert work_area(world, job) == []


def test_one_job_that_cannot_be_cleared_does_not_stop_the_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cursed, healthy = half_done(world), half_done(world)
    for job in (cursed, healthy):
        with world.locked_job(job) as conn:
            world.engine.transitions.end(conn, world.job(job), JobStatus.CANCELLED)
    real = FakeBlobs.delete_prefix

    def fails_for_one(self: FakeBlobs, container: str, prefix: str) -> int:
        if prefix.startswith(cursed.job_id):
            raise RuntimeError("cursed")
        return real(self, container, prefix)

    monkeypatch.setattr(FakeBlobs, "delete_prefix", fails_for_one)
    world.sweep()
    assert work_area(world, healthy) == []


def test_clearing_touches_no_other_job(world: World) -> None:
    job, other = half_done(world), half_done(world)
    world.engine.cancel(job.job_id)
    assert len(work_area(world, other)) == 2
    world.engine.cancel(other.job_id)


def test_a_task_result_that_is_too_large_for_a_row_goes_to_a_blob(world: World) -> None:
    world.handlers["work"] = lambda _: {"text": LARGE}
    job = world.started(1)
    world.run_all()
    task = world.tasks(job)[0]
    path = f"_results/{task.task_id}-1.json"
    assert task.result == {"result_path": f"silver/{path}", "bytes": len(LARGE) + 12}
    assert json.loads(world.blobs.read("silver", path)) == {"text": LARGE}


def test_a_job_result_that_is_too_large_for_a_row_goes_to_a_blob(world: World) -> None:
    shape = world.shape(1)
    shape.aggregate = lambda _: JobOutcome({"text": LARGE})
    job = world.submit(shape)
    world.run_all()
    path = f"_results/{job.job_id}.json"
    assert world.job(job).result_data == {"result_path": f"silver/{path}", "bytes": len(LARGE) + 12}
    assert json.loads(world.blobs.read("silver", path)) == {"text": LARGE}


def test_what_a_large_plan_says_of_itself_and_its_warnings_stay_on_the_job(world: World) -> None:
    warning = {"code": "nodata_missing", "message": "No value stands for no data.", "count": 1}
    plan = {
        "plan_id": "a" * 32,
        "rows": 100,
        "cols": 100,
        "tile_count": 10_000,
        "tiles": [LARGE],
        "warnings": [warning],
    }
    world.controllers["generate_tiling_plan"] = GenerateTilingPlan()
    world.handlers["raster_plan_tiles"] = lambda _: plan
    world.blobs.write("bronze", "a.tif", b"")
    job = world.submit(GenerateTilingPlan(), dataset_id="bronze", resource_id="a.tif")
    world.run_all()
    ended = world.job(job)
    path = f"_results/{world.tasks(job)[0].task_id}-1.json"
    whole = world.blobs.read("silver", path)
    assert json.loads(whole) == plan
    assert ended.warnings == [warning]
    assert ended.result_data == {
        "plan_id": "a" * 32, "rows": 100, "cols": 100, "tile_count": 10_000, "result_path": f"silver/{path}",
        "bytes": len(whole),
    }  # fmt: skip


def test_a_large_result_that_no_blob_could_take_yet_is_put_away_by_the_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise StorageUnavailable("away")

    shape = world.shape(1)
    shape.aggregate = lambda _: JobOutcome({"text": LARGE})
    with monkeypatch.context() as patch:
        patch.setattr(FakeBlobs, "write", away)
        job = world.submit(shape)
        world.run_all()
        assert world.job(job).status is JobStatus.COMPLETED
    world.sweep()
    assert "result_path" in (world.job(job).result_data or {})


def test_a_result_of_just_the_limit_stays_on_its_row(world: World) -> None:
    world.handlers["work"] = lambda _: {"text": LARGE[:-12]}
    job = world.started(1)
    world.run_all()
    assert world.tasks(job)[0].result == {"text": LARGE[:-12]}
