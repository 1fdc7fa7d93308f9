"""A storm in one process: lost and doubled messages, killed backends, zombies, users; then nothing is wrong or open."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import pytest

from controllers.engine.engine import Engine
from repositories.postgres import Database
from schema.errors import Conflict, GeostageError, PermanentError
from schema.jobs import Job, Json
from schema.messages import JOB_QUEUE, TaskMessage
from schema.settings import Settings
from services.context import TaskContext
from tests.fixtures.waiting import at_once
from tests.fixtures.world import KIND_OF, Message
from tests.integration.protocol import invariants
from tests.integration.protocol.world import Shape, World, leave_effect

STORM_SECONDS = 16
CALM_SECONDS = 20
"""A task that was resent in vain all through the storm waits at most as long as the storm took for the next time."""
LIVE_JOBS = 6
WORKERS = 10
SHAPES = ((8,), (0, 5), (6, 1, 6), (12, 3), (1, 0, 2), (20,))


@dataclass
class Storm:
    """What befalls the jobs; a seed makes a run much like another, though threads differ."""

    world: World
    chance: random.Random = field(default_factory=lambda: random.Random(11))
    live: list[Job] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    raging: bool = True

    def __post_init__(self) -> None:
        settings = self.world.settings
        self.shapes: list[Shape] = [self.world.shape(*sizes) for sizes in SHAPES]
        self.shapes += [self.world.shape(*sizes, on_failure="finish_all") for sizes in SHAPES]
        self.world.handlers["work"] = self.work
        zombie = settings.model_copy(update={"heartbeat_seconds": 3600})
        self.engines: list[Engine] = [self.world.new_engine(settings), self.world.new_engine(zombie)]

    def work(self, ctx: TaskContext) -> Json:
        """A handler that fails now and then, or outlives its lease."""
        fate = self.chance.random() if self.raging else 1.0
        if fate < 0.03:
            time.sleep(ctx.settings.lease_seconds * 1.5)
        result = leave_effect(ctx)
        if 0.03 < fate < 0.08:
            raise ValueError("unlucky")
        if 0.08 < fate < 0.085:
            raise PermanentError("hopeless")
        return result

    def deliver(self) -> None:
        """A worker takes a message, which may be lost or come again."""
        messages = self.world.drain()
        if not messages:
            time.sleep(0.005)
            return
        mine = messages.pop(self.chance.randrange(len(messages)))
        for queue, text in messages:
            self.world.queues.send(queue, [text])
        fate = self.chance.random() if self.raging else 1.0
        if fate < 0.1:
            self.note("lost")
            return
        if fate < 0.3:
            self.note("doubled")
            self.world.queues.send(mine[0], [mine[1]])
        self.hand_over(mine)

    def hand_over(self, message: Message) -> None:
        """Call the trigger; a message whose trigger raises comes back, or is poisoned."""
        queue, text = message
        engine = self.chance.choice(self.engines) if self.raging else self.engines[0]
        try:
            if queue == JOB_QUEUE:
                self.world.deliver(message)
            else:
                engine.run_task(TaskMessage.decode(text), KIND_OF[queue])
        except GeostageError:
            self.note("raised")
            if self.chance.random() < 0.5:
                self.world.queues.send(queue, [text])
            else:
                engine.poisoned(queue, text.encode())

    def act_as_user(self) -> None:
        """Submit, cancel, retry."""
        time.sleep(0.02)
        try:
            if len(self.live) < LIVE_JOBS:
                self.live.append(self.world.submit(self.chance.choice(self.shapes)))
                return
            self.end_or_retry(self.chance.choice(self.live))
        except GeostageError:
            self.note("refused")

    def end_or_retry(self, job: Job) -> None:
        """Retry some of the jobs that failed, cancel a few of those that run, forget what has ended."""
        ended = self.world.job(job).status.ended
        try:
            if ended and self.chance.random() < 0.3:
                self.world.engine.retry(job.job_id)
            elif ended:
                self.live.remove(job)
            elif self.chance.random() < 0.02:
                self.world.engine.cancel(job.job_id)
        except Conflict:
            self.live.remove(job)

    def kill(self) -> None:
        """A backend dies."""
        time.sleep(0.1)
        try:
            killed = self.world.sql("""
                SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'
                  AND usename = current_user AND backend_type = 'client backend'
                ORDER BY random() LIMIT 1""")
            self.note("killed", len(killed))
        except GeostageError:
            return

    def sweep(self) -> None:
        """A pass of the sweep."""
        time.sleep(0.05)
        try:
            self.engines[0].sweeper.sweep(period_seconds=0.04)
        except GeostageError:
            return

    def note(self, what: str, number: int = 1) -> None:
        """Count what befell."""
        self.counts[what] = self.counts.get(what, 0) + number


def during(seconds: float, *acts: Callable[[], None], until: Callable[[], bool] = lambda: False) -> None:
    """Repeat each act in a thread of its own."""
    deadline, stop = time.monotonic() + seconds, threading.Event()

    def repeat(act: Callable[[], None]) -> None:
        while time.monotonic() < deadline and not stop.is_set():
            act()
            if until():
                stop.set()

    at_once(*(partial(repeat, act) for act in acts))


@pytest.mark.slow
def test_after_a_storm_nothing_is_wrong_and_nothing_is_open(storm_settings: Settings, storm_pool: Database) -> None:
    world = World(storm_settings, storm_pool)
    storm = Storm(world)
    storm.sweep()
    during(STORM_SECONDS, *[storm.deliver] * WORKERS, storm.act_as_user, storm.kill, *[storm.sweep] * 2)
    storm.raging = False
    still_open = "SELECT job_id FROM app.jobs WHERE status IN ('queued', 'processing')"
    during(CALM_SECONDS, *[storm.deliver] * 4, storm.sweep, until=lambda: not world.sql(still_open))
    assert world.sql(still_open) == []
    with storm_pool.connection() as conn:
        assert invariants.broken(conn) == []
        assert conn.execute(invariants.EVERY_EFFECT.encode()).fetchall() == []
    assert world.sql("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [{"deadlocks": 0}]
    assert all(storm.counts.get(what) for what in ("lost", "doubled", "killed")), storm.counts
    statuses = {row["status"] for row in world.sql("SELECT DISTINCT status FROM app.jobs")}
    assert {"completed", "failed", "cancelled"} <= statuses
