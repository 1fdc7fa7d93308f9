"""Locks: finishers, cancels, poison and sweeps, hostile together, never deadlock."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from repositories import postgres
from repositories.postgres import Database
from schema.errors import Conflict
from schema.jobs import Job, JobStatus, Json
from schema.messages import JobMessage, TaskMessage
from schema.settings import Settings
from services.context import TaskContext
from tests.fixtures.waiting import at_once
from tests.integration.protocol.world import Shape, World, broken, leave_effect

SECONDS = 6
TASKS = 30


@dataclass
class Hostile:
    """Two jobs at a time, and everything that can happen to a job done to them."""

    world: World
    shapes: list[Shape]
    live: list[Job] = field(default_factory=list)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    def __post_init__(self) -> None:
        self.live = [self.world.submit(shape) for shape in self.shapes]
        self.world.handlers["work"] = self.mostly_well

    def mostly_well(self, ctx: TaskContext) -> Json:
        """Fail one task of fifty."""
        return leave_effect(ctx) if self.chance.random() < 0.98 else broken(ctx)

    def work(self) -> None:
        """A task's message comes."""
        self.world.run_task(self.some_task())

    def start(self) -> None:
        """A job's message comes, rightly or wrongly."""
        job = self.chance.choice(self.live)
        self.world.engine.start_stage(JobMessage(job.job_id, self.chance.choice([1, 1, 2])))

    def end(self) -> None:
        """A user cancels or retries; an ended job makes room for a new one."""
        place = self.chance.randrange(len(self.live))
        act = self.world.engine.cancel if self.chance.random() < 0.5 else self.world.engine.retry
        try:
            act(self.live[place].job_id)
        except Conflict:
            self.live[place] = self.world.submit(self.shapes[place])
        threading.Event().wait(0.05)

    def wake(self) -> None:
        """Leases run out; poison, sweep and heartbeat look."""
        self.world.sql("""
            UPDATE app.tasks SET lease_until = clock_timestamp() - interval '1 s' WHERE task_id IN (
                SELECT task_id FROM app.tasks WHERE status = 'processing' LIMIT 2 FOR UPDATE SKIP LOCKED)""")
        self.world.engine.poisoned("geo-light-tasks", TaskMessage(self.some_task()).encode().encode())
        self.world.sweep()
        self.world.engine.runner.heartbeat.beat()
        self.world.lose_messages()

    def some_task(self) -> str:
        """A task of a live job, if it was started."""
        return f"{self.chance.choice(self.live).job_id}-1-{self.chance.randint(1, TASKS):04d}"


def deadlocks(world: World) -> int:
    found: int = world.sql("SELECT deadlocks AS n FROM pg_stat_database WHERE datname = current_database()")[0]["n"]
    return found


def repeated(act: Callable[[], None], until: float) -> None:
    while time.monotonic() < until:
        act()


@pytest.mark.slow
def test_finishers_cancels_poison_and_sweeps_at_once_do_not_deadlock(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    hostile = Hostile(world, [world.shape(TASKS, 1), world.shape(TASKS, 1, on_failure="finish_all")])
    before, until = deadlocks(world), time.monotonic() + SECONDS
    acts = [hostile.work] * 8 + [hostile.start] * 2 + [hostile.end] * 2 + [hostile.wake] * 2
    at_once(*(partial(repeated, act, until) for act in acts))
    assert deadlocks(world) == before
    assert "deadlock" not in caplog.text
    assert world.sql("SELECT 1 FROM app.tasks WHERE status = 'completed' LIMIT 1")
    assert world.sql("SELECT 1 FROM app.jobs WHERE status = 'cancelled' LIMIT 1")


def test_a_finish_that_waits_for_a_cancel_rolls_back(world: World) -> None:
    job = world.started(2)
    claims = [world.claim(job, 1), world.claim(job, 2)]
    with world.locked_job(job) as conn:
        workers = [threading.Thread(target=world.execute, args=[claim]) for claim in claims]
        for worker in workers:
            worker.start()
        world.engine.transitions.end(conn, world.job(job), JobStatus.CANCELLED)
    for worker in workers:
        worker.join(20)
    assert world.statuses(job) == ["cancelled", "cancelled"]
    assert world.effects(job) == []


def test_a_job_whose_row_stays_locked_costs_a_try_and_not_the_worker(
    world: World, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres._OPTIONS, "lock_timeout", "100ms")
    impatient = Database(settings.postgres_dsn.get_secret_value())
    worker = World(settings, impatient, controllers=world.controllers)
    job = world.started(2)
    claim = world.claim(job)
    with world.locked_job(job):
        worker.execute(claim)
    impatient.close()
    assert world.statuses(job) == ["queued", "queued"]
    assert world.tasks(job)[0].tries == 1
    assert world.effects(job) == []
