"""Poison: a wake-up, never a verdict; its trigger never raises."""

import hashlib
import json
from typing import Any

import pytest

from controllers.http.poison import WAVE, PoisonedMessages
from repositories.jobs import poison, tasks
from schema.errors import Conflict, NotFound, Unavailable
from schema.jobs import Job, JobStatus
from schema.messages import JobMessage, TaskMessage
from tests.fixtures.waiting import at_once
from tests.integration.protocol.world import World

LIGHT = "geo-light-tasks"


def poison_task(world: World, task_id: str) -> None:
    world.engine.poisoned(LIGHT, TaskMessage(task_id).encode().encode())


def poison_start(world: World, job: Job, stage_n: int = 1) -> None:
    world.engine.poisoned("geo-jobs", JobMessage(job.job_id, stage_n).encode().encode())


@pytest.mark.parametrize("state", ["queued", "processing", "completed", "cancelled"])
def test_a_poisoned_message_of_a_healthy_task_does_nothing(world: World, state: str) -> None:
    job = world.started(2)
    if state == "processing":
        world.claim(job)
    elif state == "completed":
        world.execute(world.claim(job))
    elif state == "cancelled":
        world.engine.cancel(job.job_id)
    before = world.job(job), world.tasks(job)
    poison_task(world, world.tasks(job)[0].task_id)
    assert (world.job(job), world.tasks(job)) == before
    assert world.statuses(job)[0] == state


def test_a_poisoned_message_takes_a_dead_workers_task_back(world: World) -> None:
    job = world.started(1)
    task_id = world.claim(job).task.task_id
    world.expire(task_id)
    world.lose_messages()
    poison_task(world, task_id)
    assert world.statuses(job) == ["queued"]
    assert len(world.drain()) == 1


def test_a_poisoned_message_fails_a_task_whose_workers_all_died(world: World) -> None:
    job = world.started(1)
    task_id = world.claim(job).task.task_id
    world.sql("UPDATE app.tasks SET deaths = max_deaths - 1")
    world.expire(task_id)
    poison_task(world, task_id)
    assert world.job(job).status is JobStatus.FAILED


def test_a_poisoned_start_is_sent_again_and_the_third_fails_the_job(world: World) -> None:
    job = world.submit_shape(1)
    world.lose_messages()
    for _ in range(2):
        poison_start(world, job)
        assert world.job(job).status is JobStatus.QUEUED
        assert len(world.drain()) == 1
    poison_start(world, job)
    assert world.job(job).status is JobStatus.FAILED


@pytest.mark.parametrize("stage_n", [1, 2, 3])
def test_a_late_poisoned_start_does_nothing_to_a_job_that_runs(world: World, stage_n: int) -> None:
    job = world.started(1, 1, 1)
    world.execute(world.claim(job))
    world.start(job)
    before = world.job(job)
    for _ in range(4):
        poison_start(world, job, stage_n)
    assert world.job(job) == before


def test_a_poisoned_start_of_an_ended_job_does_nothing(world: World) -> None:
    job = world.submit_shape(1)
    world.engine.cancel(job.job_id)
    before = world.job(job)
    poison_start(world, job)
    assert world.job(job) == before


def test_poison_for_rows_that_are_not_there_is_kept_and_does_nothing(world: World) -> None:
    poison_task(world, f"{'0' * 32}-1-0001")
    world.engine.poisoned("geo-jobs", JobMessage("0" * 32, 1).encode().encode())
    assert len(world.sql("SELECT 1 FROM app.poison")) == 2


@pytest.mark.parametrize(
    "body",
    [b"", b"nonsense", b"\xff\xfe\x00", b"[]", b"null", b'{"task_id": "a\\u0000"}', b"[" * 60_000, b"9" * 6_000],
    ids=["empty", "text", "bytes", "array", "null", "NUL", "deep", "large number"],
)
def test_poison_that_is_none_of_ours_is_kept(world: World, body: bytes) -> None:
    world.engine.poisoned(LIGHT, body)
    assert [row["queue"] for row in world.sql("SELECT queue FROM app.poison")] == [LIGHT]


def lines(caplog: pytest.LogCaptureFixture, action: str) -> list[Any]:
    said = [json.loads(entry.getMessage()) for entry in caplog.records if entry.name == "geostage"]
    return [line for line in said if line["action"] == action]


def test_the_log_tells_a_foreign_message_by_its_size_and_digest_alone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    body = b'{"customer": "Mrs Jones", "note": "her PIN is 1234"}'
    world.engine.poisoned(LIGHT, body)
    (kept,) = world.sql("SELECT poison_id, content FROM app.poison")
    assert kept["content"] == body.decode()
    (line,) = lines(caplog, "poison")
    assert line == {
        "action": "poison", "queue": LIGHT, "poison_id": kept["poison_id"], "bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest()[:16],
    }  # fmt: skip


def test_the_log_names_the_ids_of_a_message_of_ours_whose_row_is_gone(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    poison_task(world, f"{'0' * 32}-1-0001")
    world.engine.poisoned("geo-jobs", JobMessage("0" * 32, 1).encode().encode())
    task, start = lines(caplog, "poison")
    assert (task["task_id"], start["job_id"]) == (f"{'0' * 32}-1-0001", "0" * 32)


def test_the_log_tells_no_word_of_a_message_that_could_not_be_put_back(
    world: World, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: object, **__: object) -> Any:
        raise Unavailable("away")

    monkeypatch.setattr(poison, "insert", away)
    monkeypatch.setattr(type(world.queues), "send", away)
    world.engine.poisoned(LIGHT, b"her PIN is 1234")
    (line,) = lines(caplog, "send_failed")
    assert line["bytes"] == 15
    assert "PIN" not in caplog.text


def test_poison_that_cannot_be_looked_at_now_is_put_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(poison, "insert", away)
    world.engine.poisoned(LIGHT, b'{"task_id": "x"}')
    assert list(world.queues.drain(f"{LIGHT}-poison")) == ['{"task_id": "x"}']


@pytest.mark.parametrize("error", [RuntimeError("a bug"), Unavailable("away")])
def test_the_poison_trigger_never_raises(world: World, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def fail(*_: object, **__: object) -> Any:
        raise error

    job = world.started(1)
    monkeypatch.setattr(tasks, "get_task", fail)
    poison_task(world, world.tasks(job)[0].task_id)
    world.queues.down = True
    poison_task(world, world.tasks(job)[0].task_id)
    assert len(world.sql("SELECT 1 FROM app.poison")) == 2


def act(world: World, **wish: Any) -> dict[str, Any]:
    return PoisonedMessages(world.database, world.queues).act(json.dumps(wish).encode())


def kept(world: World) -> list[dict[str, Any]]:
    return world.sql("SELECT poison_id, queue FROM app.poison ORDER BY poison_id")


def test_a_message_that_is_put_back_wakes_its_task(world: World) -> None:
    job = world.started(1)
    world.lose_messages()
    poison_task(world, world.tasks(job)[0].task_id)
    assert world.drain() == []
    (row,) = kept(world)
    assert act(world, action="requeue", poison_id=row["poison_id"]) == {"action": "requeue", "messages": 1, "left": 0}
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_start_that_is_put_back_starts_its_stage(world: World) -> None:
    job = world.submit_shape(2)
    poison_start(world, job)
    world.lose_messages()
    act(world, action="requeue", all=True)
    assert [queue for queue, _ in world.drain()] == ["geo-jobs"]


@pytest.mark.parametrize("state", ["processing", "completed", "cancelled"])
def test_putting_a_message_back_changes_nothing_where_nothing_is_needed(world: World, state: str) -> None:
    job = world.started(2)
    if state == "processing":
        world.claim(job)
    elif state == "completed":
        world.execute(world.claim(job))
    else:
        world.engine.cancel(job.job_id)
    world.lose_messages()
    poison_task(world, world.tasks(job)[0].task_id)
    before = world.job(job), world.tasks(job)
    act(world, action="requeue", all=True)
    (message,) = world.drain()
    world.deliver(message)
    assert (world.job(job), world.tasks(job)[0]) == (before[0], before[1][0])


def test_all_messages_are_put_back_in_waves_and_strange_ones_stay(world: World) -> None:
    job = world.started(1)
    world.lose_messages()
    task_id = world.tasks(job)[0].task_id
    with world.database.connection() as conn:
        for _ in range(WAVE + 5):
            poison.insert(conn, LIGHT, TaskMessage(task_id).encode().encode())
        poison.insert(conn, LIGHT, b"nonsense")
    assert act(world, action="requeue", all=True) == {"action": "requeue", "messages": WAVE + 5, "left": 1}
    assert len(world.drain()) == WAVE + 5
    assert act(world, action="drop", all=True) == {"action": "drop", "messages": 1, "left": 0}
    world.run_task(task_id)


def test_a_strange_message_is_not_put_back_but_dropped(world: World) -> None:
    world.engine.poisoned(LIGHT, b"nonsense")
    (row,) = kept(world)
    with pytest.raises(Conflict, match="not written by Geostage"):
        act(world, action="requeue", poison_id=row["poison_id"])
    assert kept(world) == [row]
    act(world, action="drop", poison_id=row["poison_id"])
    assert kept(world) == []
    assert world.drain() == []
    with pytest.raises(NotFound):
        act(world, action="drop", poison_id=row["poison_id"])


def test_a_message_is_kept_when_it_cannot_be_put_back_now(world: World) -> None:
    poison_task(world, f"{'0' * 32}-1-0001")
    world.queues.down = True
    with pytest.raises(Unavailable):
        act(world, action="requeue", all=True)
    assert len(kept(world)) == 1


def test_two_operators_at_once_put_each_message_back_once(world: World) -> None:
    for number in range(50):
        poison_task(world, f"{'0' * 32}-1-{number:04}")
    done = at_once(*[lambda: act(world, action="requeue", all=True)] * 3)
    assert sum(outcome["messages"] for outcome in done) == 50
    assert len(set(world.drain())) == 50
