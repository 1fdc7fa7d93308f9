"""What the child processes of these tests are built of: the real engine, with handlers that misbehave."""

from __future__ import annotations

import os
import time
from typing import Any

from controllers.engine.engine import Engine
from repositories.postgres import Database
from repositories.storage.fake_blobs import FakeBlobs
from repositories.storage.queues import FakeQueues
from schema.jobs import Json
from schema.settings import get_settings
from services import Handler
from services.context import TaskContext
from tests.integration.protocol.world import Shape, leave_effect

BUILDER = "tests.integration.protocol.misbehaving:build"
JOB_TYPE = "misbehaving"


def work(ctx: TaskContext) -> Json:
    """Leave an effect, then misbehave as the job's dataset_id says, on the first attempt alone."""
    behaviour = ctx.parameters["behaviour"]
    done: Json = {**leave_effect(ctx), "pid": os.getpid()}
    if ctx.task.attempt == 1 or behaviour.startswith("always_"):
        BEHAVIOURS[behaviour.removeprefix("always_")](ctx)
    return done


def _eat_memory(ctx: TaskContext) -> None:
    eaten = []
    while True:
        ctx.check()
        eaten.append(bytearray(20_000_000))
        time.sleep(0.02)


def _hang(_ctx: TaskContext) -> None:
    time.sleep(600)


def _wait(ctx: TaskContext) -> None:
    while True:
        ctx.check()
        time.sleep(0.02)


BEHAVIOURS: dict[str, Any] = {
    "behave": lambda _ctx: None,
    "abort": lambda _ctx: os.abort(),
    "exit": lambda _ctx: os._exit(3),
    "eat": _eat_memory,
    "hang": _hang,
    "wait": _wait,
    "exit_afterwards": lambda ctx: ctx.after_commit(lambda: os._exit(3)),
    "print": lambda _ctx: print("{not a word", flush=True),  # noqa: T201 - what libraries do
}


def resolve(_task_type: str) -> Handler:
    """There is one handler."""
    return work


def build() -> Engine:
    """Make the engine of a child."""
    settings = get_settings()
    database = Database(settings.postgres_dsn.get_secret_value())
    shape = Shape(JOB_TYPE, 1, 1, queue="raster")
    return Engine(settings, database, FakeQueues(), FakeBlobs(), {JOB_TYPE: shape}, resolve)
