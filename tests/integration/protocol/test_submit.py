"""Submit: same work, same job; row first, message second."""

import json
from functools import partial

import pytest

from repositories.postgres import Database, DatabaseUnavailable
from schema.errors import Conflict, InvalidRequest, NotFound, Unavailable
from schema.jobs import JobStatus
from tests.fixtures.waiting import at_once
from tests.integration.protocol.world import World


def test_sixteen_posts_at_once_make_one_live_job(world: World) -> None:
    shape = world.shape(1)
    for number in range(10):
        jobs = at_once(*(partial(world.submit, shape, resource_id=f"file-{number}") for _ in range(16)))
        assert len({job.job_id for job in jobs}) == 1


def test_sixteen_posts_with_cancels_between_never_make_two_live_jobs(world: World) -> None:
    shape = world.shape(1)

    def post_and_cancel() -> None:
        for _ in range(15):
            job = world.submit(shape, resource_id="same")
            count = "SELECT count(*) AS n FROM app.jobs WHERE status IN ('queued', 'processing')"
            assert world.sql(count)[0]["n"] <= 1
            world.engine.cancel(job.job_id)

    at_once(*(post_and_cancel for _ in range(16)))


def test_other_parameters_are_other_work(world: World) -> None:
    shape = world.shape(1)
    one, other = world.submit(shape, resource_id="a"), world.submit(shape, resource_id="b")
    assert one.job_id != other.job_id


def test_a_completed_job_does_not_match_without_a_key(world: World) -> None:
    shape = world.shape(1)
    first = world.submit(shape, resource_id="same")
    world.run_all()
    assert world.submit(shape, resource_id="same").job_id != first.job_id


def test_a_completed_job_matches_its_idempotency_key(world: World) -> None:
    shape = world.shape(1)
    first = world.submit(shape, key="k", resource_id="same")
    world.run_all()
    again = world.engine.submit(shape.job_type, b'{"resource_id": "same"}', idempotency_key="k")
    assert (again.job.job_id, again.existing, again.job.status) == (first.job_id, True, JobStatus.COMPLETED)


def test_a_live_job_answers_to_the_key_of_a_request_for_the_same_work(world: World) -> None:
    shape = world.shape(1)
    first = world.submit(shape, resource_id="same")
    assert world.submit(shape, key="k", resource_id="same").job_id == first.job_id
    world.run_all()
    assert world.submit(shape, key="k", resource_id="same").job_id == first.job_id
    assert world.submit(shape, resource_id="same").job_id != first.job_id


def test_an_idempotency_key_with_other_parameters_is_a_conflict(world: World) -> None:
    shape = world.shape(1)
    first = world.submit(shape, key="k", resource_id="one")
    with pytest.raises(Conflict, match=first.job_id):
        world.submit(shape, key="k", resource_id="two")
    with pytest.raises(Conflict):
        world.submit(world.shape(1), key="k", resource_id="one")


def test_an_idempotency_key_is_free_again_after_24_hours(world: World) -> None:
    shape = world.shape(1)
    first = world.submit(shape, key="k", resource_id="same")
    world.run_all()
    world.sql("UPDATE app.jobs SET created_at = clock_timestamp() - interval '25 hours'")
    assert world.submit(shape, key="k", resource_id="other").job_id != first.job_id


def test_an_idempotency_key_of_a_job_that_ended_badly_is_free(world: World) -> None:
    shape = world.shape(1)
    first = world.submit(shape, key="k", resource_id="same")
    world.engine.cancel(first.job_id)
    assert world.submit(shape, key="k", resource_id="same").job_id != first.job_id


def test_sixteen_posts_at_once_under_one_key_make_one_job(world: World) -> None:
    shape = world.shape(1)
    jobs = at_once(*(partial(world.submit, shape, key="k", resource_id="same") for _ in range(16)))
    assert len({job.job_id for job in jobs}) == 1


@pytest.mark.parametrize("key", ["x" * 256, "tab\tand newline\n", "nul\0"])
def test_an_idempotency_key_that_is_not_printable_text_is_refused(world: World, key: str) -> None:
    with pytest.raises(InvalidRequest):
        world.submit(world.shape(1), key=key)


def test_a_changed_source_is_other_work(world: World) -> None:
    shape = world.shape(1)
    shape.named = ("bronze", "file.gpkg")
    world.blobs.write("bronze", "file.gpkg", b"one")
    first = world.submit(shape, resource_id="file.gpkg")
    assert world.submit(shape, resource_id="file.gpkg").job_id == first.job_id
    world.blobs.write("bronze", "file.gpkg", b"two")
    second = world.submit(shape, resource_id="file.gpkg")
    assert second.job_id != first.job_id
    assert (second.source or {})["etag"] != (first.source or {})["etag"]


def test_a_key_finds_its_job_also_when_the_source_has_changed(world: World) -> None:
    shape = world.shape(1)
    shape.named = ("bronze", "file.gpkg")
    world.blobs.write("bronze", "file.gpkg", b"one")
    first = world.submit(shape, key="k", resource_id="file.gpkg")
    world.blobs.write("bronze", "file.gpkg", b"two")
    assert world.submit(shape, key="k", resource_id="file.gpkg").job_id == first.job_id


def test_a_missing_source_is_not_found_and_leaves_no_row(world: World) -> None:
    shape = world.shape(1)
    shape.named = ("bronze", "file.gpkg")
    with pytest.raises(NotFound, match="bronze"):
        world.submit(shape)
    assert world.sql("SELECT 1 FROM app.jobs") == []


@pytest.mark.parametrize("blob", ["../secret/a.gpkg", "x/../../secret/a.gpkg", "./a.gpkg", "..", "x\\..\\a.gpkg"])
def test_a_source_whose_name_leads_out_of_its_container_is_refused(world: World, blob: str) -> None:
    shape = world.shape(1)
    shape.named = ("bronze", blob)
    with pytest.raises(InvalidRequest) as refused:
        world.submit(shape)
    assert [fault["field"] for fault in refused.value.errors] == ["resource_id"]


@pytest.mark.parametrize("container", ["geostage-work", "azure-webjobs-secrets"])
def test_a_reserved_container_is_never_a_source(world: World, container: str) -> None:
    shape = world.shape(1)
    shape.named = (container, "a.gpkg")
    with pytest.raises(InvalidRequest, match="reserved"):
        world.submit(shape)


def test_an_unknown_job_type_is_not_found(world: World) -> None:
    with pytest.raises(NotFound, match="no_such"):
        world.engine.submit("no_such", b"{}")


def test_a_queue_that_is_down_is_said_and_the_sweep_starts_the_row(world: World) -> None:
    shape = world.shape(1)
    world.queues.down = True
    with pytest.raises(Unavailable, match="queue") as refused:
        world.submit(shape, resource_id="same")
    row = world.sql("SELECT job_id, status FROM app.jobs")
    assert [found["status"] for found in row] == ["queued"]
    assert row[0]["job_id"] in refused.value.message
    with pytest.raises(Unavailable):
        world.submit(shape, resource_id="same")
    world.queues.down = False
    assert world.submit(shape, resource_id="same").job_id == row[0]["job_id"]
    world.lose_messages()
    world.all_due()
    world.sweep()
    world.run_all()
    assert world.sql("SELECT status FROM app.jobs") == [{"status": "completed"}]


def test_the_sweep_need_not_wait_for_a_row_whose_message_was_never_sent(world: World) -> None:
    world.queues.down = True
    with pytest.raises(Unavailable):
        world.submit(world.shape(1))
    world.queues.down = False
    world.sweep()
    assert len(world.drain()) == 1


def test_a_database_that_is_down_is_said(world: World) -> None:
    away = Database("postgresql://nobody:secret@127.0.0.1:9/nothing")
    engine = World(world.settings, away, controllers=world.controllers).engine
    shape = world.shape(1)
    with pytest.raises(DatabaseUnavailable) as refused:
        engine.submit(shape.job_type, b"{}")
    away.close()
    assert "127.0.0.1" not in str(refused.value.info())


@pytest.mark.parametrize("value", ["\ud800", "a\0b", "\\u0000"])
def test_text_is_refused_with_a_400_or_stored_as_it_is(world: World, value: str) -> None:
    body = json.dumps({"resource_id": value}).encode()
    try:
        job = world.engine.submit(world.shape(1).job_type, body).job
    except InvalidRequest:
        assert value != "\\u0000"
    else:
        assert world.job(job).parameters["resource_id"] == value


def test_the_trace_of_the_post_is_kept_on_the_row(world: World) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    good = world.engine.submit(world.shape(1).job_type, b"{}", traceparent=trace).job
    bad = world.engine.submit(world.shape(1).job_type, b"{}", traceparent="nonsense").job
    assert (good.traceparent, bad.traceparent) == (trace, None)
