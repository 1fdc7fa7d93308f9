"""Claim and finish: one holder, one effect, one advance."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import NoReturn

import pytest

from repositories.postgres import DatabaseUnavailable
from schema.jobs import JobStatus, Json, TaskStatus
from schema.messages import JOB_QUEUE, TASK_QUEUES, TaskMessage
from services.context import TaskContext
from tests.fixtures.waiting import at_once, eventually
from tests.integration.protocol.world import World, broken, leave_effect

ROUNDS = 100
FINISHERS = 6


@pytest.mark.slow
@pytest.mark.parametrize("effects", [True, False], ids=["with effects", "without effects"])
def test_n_finishers_at_once_and_every_message_three_times_give_exactly_one_advance(
    world: World, effects: bool
) -> None:
    shape = world.shape(FINISHERS, 1)
    together = threading.Barrier(FINISHERS)

    def work(ctx: TaskContext) -> Json:
        # All finishers of the first stage, with their effects in open transactions, are there before the first commits.
        result = leave_effect(ctx) if effects else {}
        if ctx.task.stage_n == 1:
            together.wait(20)
        return result

    world.handlers["work"] = work
    for _ in range(ROUNDS):
        job = world.submit(shape)
        start = world.drain() * 3
        at_once(*(partial(world.deliver, message) for message in start))
        messages = world.drain() * 3
        assert len(messages) >= 3 * FINISHERS
        at_once(*(partial(world.deliver, message) for message in messages[: 3 * FINISHERS]))
        world.lose_messages()
        moved = world.job(job)
        assert [entry["stage_n"] for entry in moved.stage_history] == [1, 2]
        assert world.statuses(job, 1) == ["completed"] * FINISHERS
        assert len(world.effects(job)) == (FINISHERS + 1 if effects else 0)


def test_the_last_finisher_starts_the_next_stage_and_sends_its_messages_once(world: World) -> None:
    job = world.started(4, 3)
    claims = [world.claim(job, number) for number in (1, 2, 3, 4)]
    world.lose_messages()
    at_once(*(partial(world.execute, claim) for claim in claims))
    assert [task.status for task in world.tasks(job)] == [TaskStatus.QUEUED] * 3
    assert sorted(text for _, text in world.drain()) == [
        TaskMessage(task.task_id).encode() for task in world.tasks(job)
    ]


def test_a_stage_that_the_last_finisher_cannot_start_gets_its_message(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.started(1, 1)
    world.lose_messages()
    monkeypatch.setattr(world.engine.starter, "start_stage", out_of_reach)
    world.run_task(world.tasks(job)[0])
    monkeypatch.undo()
    assert world.job(job).stage_tasks is None
    assert list(world.queues.queues) == [JOB_QUEUE]
    world.run_all()
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_worker_goes_on_with_the_tasks_of_the_next_stage(world: World) -> None:
    job = world.started(1, 3, 1)
    world.lose_messages()
    world.run_task(world.tasks(job)[0])
    assert world.job(job).status is JobStatus.COMPLETED
    world.run_all()
    assert len(world.effects(job)) == 5


def test_the_other_tasks_of_a_stage_that_a_worker_starts_get_messages_while_it_goes_on(world: World) -> None:
    job = world.started(1, 3)
    world.lose_messages()
    first, waiting = world.tasks(job)[0], threading.Event()
    sent: list[str] = []

    def work(ctx: TaskContext) -> Json:
        if ctx.task.stage_n == 2 and not waiting.is_set():
            waiting.set()
            eventually(lambda: len(world.queues.queues.get(TASK_QUEUES["light"], [])) == 2)
            sent.extend(TaskMessage.decode(text).task_id for text in world.queues.drain(TASK_QUEUES["light"]))
        return {}

    world.handlers["work"] = work
    world.run_task(first)
    assert sent == [task.task_id for task in world.tasks(job)[1:]]
    assert world.job(job).status is JobStatus.COMPLETED


def test_the_tasks_of_a_stage_get_messages_where_the_worker_that_started_it_cannot_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.started(1, 3)
    world.lose_messages()

    def last_claim(_: TaskContext) -> Json:
        monkeypatch.setattr(world.engine.runner, "_claim", out_of_reach)
        return {}

    world.handlers["work"] = last_claim
    with pytest.raises(DatabaseUnavailable):
        world.run_task(world.tasks(job)[0])
    monkeypatch.undo()
    assert len(world.drain()) == 3


def out_of_reach(*asked: object) -> NoReturn:
    raise DatabaseUnavailable(f"The database cannot be reached for {asked}.")


def test_finish_with_a_stale_attempt_changes_nothing(world: World) -> None:
    job = world.started(1)
    zombie = world.claim(job)
    world.expire(zombie.task.task_id)
    holder = world.claim(job)
    before = world.job(job), world.tasks(job)
    world.execute(zombie)
    assert (world.job(job), world.tasks(job)) == before
    assert world.effects(job) == []
    world.execute(holder)
    assert world.effects(job) == [(holder.task.task_id, 2)]
    assert world.job(job).status is JobStatus.COMPLETED


def test_a_failure_with_a_stale_attempt_changes_nothing(world: World) -> None:
    job = world.started(1)
    zombie = world.claim(job)
    world.expire(zombie.task.task_id)
    world.claim(job)
    before = world.job(job), world.tasks(job)
    world.handlers["work"] = broken
    world.execute(zombie)
    assert (world.job(job), world.tasks(job)) == before


def test_finish_without_effects_is_fenced_too(world: World) -> None:
    world.handlers["work"] = lambda _: {"said": "too late"}
    job = world.started(2)
    zombie = world.claim(job)
    world.expire(zombie.task.task_id)
    holder = world.claim(job)
    before = world.job(job), world.tasks(job)
    world.execute(zombie)
    assert (world.job(job), world.tasks(job)) == before
    world.engine.cancel(job.job_id)
    world.execute(holder)
    assert world.statuses(job) == ["cancelled", "cancelled"]


def test_a_finish_that_is_delivered_again_is_refused(world: World) -> None:
    job = world.started(2)
    claim = world.claim(job)
    world.execute(claim)
    world.execute(claim)
    assert world.statuses(job) == ["completed", "queued"]
    assert len(world.effects(job)) == 1


def test_a_claim_during_a_live_lease_is_refused(world: World) -> None:
    job = world.started(1)
    task_id = world.claim(job).task.task_id
    assert world.try_claim(task_id) is None


def test_of_many_claims_at_once_one_is_granted(world: World) -> None:
    job = world.started(1)
    task_id = world.tasks(job)[0].task_id
    claims = at_once(*(partial(world.try_claim, task_id) for _ in range(12)))
    assert len([claim for claim in claims if claim]) == 1


def test_a_lease_that_ran_out_is_taken_over_with_the_next_attempt(world: World) -> None:
    job = world.started(1)
    first = world.claim(job).task
    world.expire(first.task_id)
    second = world.claim(job).task
    assert (second.attempt, second.tries, second.deaths) == (2, 1, 1)
    assert world.tasks(job)[0].status is TaskStatus.PROCESSING


def test_a_claim_before_the_end_of_the_backoff_is_refused(world: World) -> None:
    job = world.started(1)
    world.sql("UPDATE app.tasks SET not_before = clock_timestamp() + interval '30 s'")
    assert world.try_claim(world.tasks(job)[0].task_id) is None


def test_an_effect_and_its_task_commit_together_or_not_at_all(world: World) -> None:
    job = world.started(1)

    def work(ctx: TaskContext) -> Json:
        leave_effect(ctx)
        raise ValueError("after the effect")

    world.handlers["work"] = work
    world.execute(world.claim(job))
    assert world.effects(job) == []
    world.handlers["work"] = leave_effect
    world.run_task(world.tasks(job)[0])
    assert len(world.effects(job)) == 1


def test_every_transaction_reads_what_is_committed(world: World) -> None:
    with world.database.transaction() as conn:
        row = conn.execute("SELECT current_setting('transaction_isolation') AS level").fetchone()
    assert row == {"level": "read committed"}
    role = world.sql("SELECT rolconfig FROM pg_roles WHERE rolname = current_user")[0]["rolconfig"]
    assert "default_transaction_isolation=read committed" in role


def test_every_connection_bounds_its_waits(world: World) -> None:
    names = ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
    shown = {name: world.sql(f"SHOW {name}")[0][name] for name in names}
    assert shown == dict(zip(names, ("10s", "30s", "1min"), strict=True))


def leave_for_afterwards(done: list[str]) -> Callable[[TaskContext], Json]:
    """Make a handler that leaves something for after the commit, which then looks at its task."""

    def work(ctx: TaskContext) -> Json:
        def look() -> None:
            with ctx.database.connection() as conn:
                row = conn.execute("SELECT status::text FROM app.tasks WHERE task_id = %s", [ctx.task.task_id])
                done.extend(found["status"] for found in row)

        ctx.after_commit(look)
        return leave_effect(ctx)

    return work


def test_what_a_handler_leaves_for_after_the_commit_is_done_when_its_task_is_finished(world: World) -> None:
    done: list[str] = []
    world.handlers["work"] = leave_for_afterwards(done)
    world.execute(world.claim(world.started(1)))
    assert done == ["completed"]


def test_a_try_that_commits_nothing_does_nothing_afterwards(world: World) -> None:
    done: list[str] = []
    world.handlers["work"] = leave_for_afterwards(done)
    job = world.started(1)
    zombie = world.claim(job)
    world.expire(zombie.task.task_id)
    assert world.try_claim(zombie.task.task_id)
    world.execute(zombie)
    assert done == []


def test_what_fails_after_the_commit_is_told_and_the_job_goes_on(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    def work(ctx: TaskContext) -> Json:
        ctx.after_commit(lambda: ctx.blobs.check_container("gone"))
        ctx.after_commit(lambda: done.append(str(1 // len(done))))
        ctx.after_commit(lambda: done.append("the next"))
        return leave_effect(ctx)

    done: list[str] = []

    world.handlers["work"] = work
    job = world.started(1, 1)
    with caplog.at_level(logging.WARNING):
        world.execute(world.claim(job))
    assert caplog.text.count("tidy_failed") == 2
    assert "ZeroDivisionError" in caplog.text
    assert done == ["the next"]
    assert (world.job(job).current_stage_n, world.statuses(job, 1)) == (2, ["completed"])
    assert world.tasks(job)
