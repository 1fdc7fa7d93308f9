"""A file that kills the process which reads it is passed over by the next try, and the others are catalogued."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient

from controllers import CONTROLLERS
from controllers.engine.child_pool import Children
from controllers.engine.engine import Engine
from local.stack import Stack
from repositories.jobs import progress
from repositories.storage.blobs import AzureBlobs
from repositories.storage.queues import FakeQueues
from schema.jobs import Job, Json
from schema.messages import JobMessage, TaskMessage
from schema.settings import POSTGRES_DSN_VARIABLE, get_settings
from services.handlers.sync import compare
from tests.fixtures.factories import make_task
from tests.fixtures.world import KIND_OF
from tests.integration.containers.deadly import BUILDER
from tests.integration.containers.world import POINT, Containers, world_settings


@pytest.fixture
def container(stack: Stack) -> Iterator[str]:
    """A container on real storage, since children share no memory."""
    name = f"t{uuid4().hex[:12]}"
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        service.create_container(name)
        yield name
        service.delete_container(name)


@pytest.fixture
def engine(world: Containers, stack: Stack, containers_dsn: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """An engine whose vector tasks run in children."""
    monkeypatch.setenv(POSTGRES_DSN_VARIABLE, containers_dsn)
    monkeypatch.setenv("GEOSTAGE_RETRY_BASE_SECONDS", "0")
    get_settings.cache_clear()
    settings = world_settings(
        containers_dsn,
        storage_connection_string=stack.storage_connection_string,
        heartbeat_seconds=0.5,
        task_deadline_seconds=8,
    )
    children = Children(settings, builder=BUILDER, grace_seconds=1)
    parts = (world.database, FakeQueues(), AzureBlobs(settings), CONTROLLERS, world.handler_of)
    yield Engine(settings, *parts, children=children)
    children.close()
    get_settings.cache_clear()


def sync(world: Containers, engine: Engine, container: str, *names: str) -> Job:
    """Put files, and sync their container."""
    for name in names:
        engine.blobs.write(container, name, POINT)
    job = engine.submit("sync_container", json.dumps({"dataset_id": container}).encode()).job
    queues = engine.queues
    assert isinstance(queues, FakeQueues)
    for _ in range(10):
        # A child's own messages go nowhere, as if each of them was lost.
        engine.start_stage(JobMessage(job.job_id, world.job(job).current_stage_n))
        for name, kind in KIND_OF.items():
            for text in list(queues.drain(name)):
                engine.run_task(TaskMessage.decode(text), kind)
        if world.job(job).status.ended:
            break
    return world.job(job)


def entries(job: Job) -> dict[str, str]:
    result: Json = job.result_data or {}
    return {entry["name"]: entry["code"] for entry in result["failed_files"]}


@pytest.mark.parametrize("how", ["abort", "hang", "bug"])
def test_a_file_that_kills_its_reader_is_passed_over(
    world: Containers, engine: Engine, container: str, how: str
) -> None:
    job = sync(world, engine, container, "a.geojson", f"{how}.geojson", "z.geojson")
    assert job.status == "completed", job.error
    assert entries(job) == {f"{how}.geojson": "file_kills_reader"}
    assert set(world.items(container)) == {"a.geojson", "z.geojson"}


def test_two_of_them_in_one_batch_are_passed_over(world: Containers, engine: Engine, container: str) -> None:
    job = sync(world, engine, container, "a-abort.geojson", "b.geojson", "c-abort.geojson", "d.geojson")
    assert job.status == "completed", job.error
    assert set(entries(job)) == {"a-abort.geojson", "c-abort.geojson"}
    assert set(world.items(container)) == {"b.geojson", "d.geojson"}


def test_a_batch_that_fails_for_good_is_reported_file_by_file_and_the_others_go_on(
    world: Containers, engine: Engine, container: str
) -> None:
    # The light tasks run in this process.
    world.handlers["sync_list"] = partial(compare, max_files=4)
    deadly = [f"{number}-abort.geojson" for number in range(3)]
    job = sync(world, engine, container, *deadly, "3.geojson", "4.geojson")
    assert job.status == "completed_with_errors"
    assert entries(job) == dict.fromkeys([*deadly, "3.geojson"], "process_died")
    assert set(world.items(container)) == {"4.geojson"}
    assert job.result_data
    assert job.result_data["summary"]["failed_batches"] == 1


def test_a_worker_that_was_stopped_casts_no_suspicion(world: Containers) -> None:
    task = make_task(attempt=1)
    with world.database.transaction() as conn:
        progress.make(conn, task.job_id)
    assert progress.begin(world.database, task) == {}
    progress.note(world.database, task, "innocent.tif")
    for attempt, error in ((2, {"code": "worker_died", "message": "-", "attempt": 1}), (3, None)):
        again = make_task(attempt=attempt, error=error)
        assert progress.begin(world.database, again) == {}
        progress.note(world.database, again, "innocent.tif")
    last = make_task(attempt=4, error={"code": "process_died", "message": "SIGSEGV", "attempt": 3})
    assert progress.begin(world.database, last) == {"innocent.tif": "SIGSEGV"}
    with world.database.transaction() as conn:
        conn.execute(f'DROP TABLE geostage_work."s_{task.job_id}_progress"')
