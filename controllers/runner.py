"""Running tasks: a task is claimed, its handler runs under a heartbeat, and its end is written behind its fence.

Every handler's error is caught here: it is the task's, never the worker's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from controllers.children import Child, ChildDied, Children
from controllers.heartbeat import Heartbeat
from controllers.journal import describe, record, where
from controllers.settle import Settlement
from controllers.start import Starter
from controllers.transitions import Aftermath, FenceBroken, Transitions
from repositories import tasks
from repositories.blobs import Blobs
from repositories.postgres import Database
from repositories.tasks import Claim, WakeUp
from schema.errors import ErrorInfo, GeostageError, PermanentError, TaskInterrupted
from schema.jobs import Json, Task, TaskQueue
from schema.messages import JobMessage
from schema.settings import Settings
from services import Handler
from services.context import TaskContext

GO_ON_SECONDS = 20
"""How long a worker goes on from task to task: with the deadline of the last one it stays below functionTimeout."""


class Runner:
    """Runs the tasks of one worker process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        blobs: Blobs,
        transitions: Transitions,
        starter: Starter,
        settlement: Settlement,
        resolve_handler: Callable[[str], Handler],
        children: Children | None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._transitions = transitions
        self._starter = starter
        self._settlement = settlement
        self._resolve_handler = resolve_handler
        self._children = children
        self.heartbeat = Heartbeat(database, settings)
        self._lease = {
            "lease": timedelta(seconds=settings.lease_seconds),
            "deadline": timedelta(seconds=settings.task_deadline_seconds),
        }

    def run_task(self, task_id: str, queue: str) -> None:
        """Run a task, then others that wait in its queue, for a while; nothing where the task is not to be had.

        A task need not wait for its own message where a worker is free; a message that comes later finds it claimed.
        The messages of a stage that is started here go out while its first task runs.

        Raises
        ------
        ChildDied
            No child process could be started; nothing was claimed, and the host hands the message over again later.
        TooManyMessages
            As many tasks of this queue as the worker has processes for run already; likewise.
        """
        until = time.monotonic() + GO_ON_SECONDS
        wake_ups: Sequence[WakeUp] = ()
        # The child comes before the claim: a task that waits for one to start stays free for other workers.
        with self._settlement.sending() as send, self._child_for(queue) as child:
            claim = self._claim(task_id)
            try:
                while claim:
                    send([wake_up for wake_up in wake_ups if wake_up.task_id != claim.task.task_id])
                    wake_ups = ()
                    wake_ups = self._run(claim, child)
                    goes_on = time.monotonic() < until and (child is None or child.fit)
                    claim = self._claim_next(claim.task, wake_ups) if goes_on else None
            finally:
                send(wake_ups)

    def _child_for(self, queue: str) -> AbstractContextManager[Child | None]:
        if self._children is None or queue == TaskQueue.LIGHT:
            return nullcontext()
        return self._children.take(queue)

    def execute(self, claim: Claim, lost: Callable[[], bool], advanced: Callable[[JobMessage], object]) -> None:
        """Run the handler of a claimed task and finish the task in the handler's own transaction.

        It needs nothing but the claim, so that it can run in another process than the one that keeps the lease.
        `advanced` is told the stage that the job has moved on to, if it has, which is then to be started.
        """
        task, began = claim.task, time.monotonic()
        try:
            handler = self._resolve_handler(task.task_type)
            with TaskContext(task, claim.source, self._settings, self._blobs, self._database, lost) as ctx:
                result = self._settlement.fit_result(f"{task.task_id}-{task.attempt}", handler(ctx))
                aftermath = self._finish(ctx, result)
        except (TaskInterrupted, FenceBroken):
            self._say("abandon", claim, began)
        # The one place that catches whatever a handler raises: it is the task's error, never the worker's.
        except Exception as exc:  # noqa: BLE001
            self._fail(claim, exc, began)
        else:
            self._say("finish", claim, began)
            started, aftermath.started = aftermath.started, None
            if started:
                record("advance", job=started)
                advanced(JobMessage.of(started))
            self._settlement.settle(aftermath)
            self._tidy(claim, ctx)

    def _tidy(self, claim: Claim, ctx: TaskContext) -> None:
        """Do what the handler left for after the commit. The task is finished, so what fails is only told."""
        for act in ctx.afterwards:
            try:
                act()
            # The handler's code as well: what it raises neither ends the worker nor keeps the next from its turn.
            except Exception as exc:  # noqa: BLE001
                record("tidy_failed", task=claim.task, level=logging.WARNING, reason=describe(exc), where=where(exc))

    def _go_on(self, message: JobMessage) -> list[WakeUp]:
        """Start the stage that the job has moved on to, here and now; where that fails its message is sent instead."""
        try:
            aftermath = self._starter.start_stage(message)
        except GeostageError as exc:
            record("start_failed", level=logging.WARNING, reason=describe(exc), **asdict(message))
            self._settlement.send_start(message)
            return []
        wake_ups, aftermath.wake_ups = aftermath.wake_ups, []
        self._settlement.settle(aftermath)
        return wake_ups

    def _claim(self, task_id: str) -> Claim | None:
        with self._database.connection() as conn:
            claim = tasks.claim_task(conn, task_id, **self._lease)
        if claim is None:
            record("claim_refused", task_id=task_id, level=logging.DEBUG)
        return claim

    def _claim_next(self, done: Task, started: Sequence[WakeUp]) -> Claim | None:
        """Claim the first task of a stage that was just started, else one of the next job that waits in the queue.

        A job keeps its worker over the end of a stage, which happens a few times in its life: six small jobs that
        took turns task by task would all end as late as the last one.
        """
        if started and started[0].queue == done.queue and (claim := self._claim(started[0].task_id)):
            return claim
        with self._database.connection() as conn:
            return tasks.claim_next_task(conn, done.queue, done.job_id, **self._lease)

    def _run(self, claim: Claim, child: Child | None) -> Sequence[WakeUp]:
        """Run a claimed task to its end; gives the tasks of the next stage, if it was the last one of its own."""
        self._say("claim", claim, tries=claim.task.tries)
        advanced: list[JobMessage] = []
        with self.heartbeat.hold(claim.task) as lost:
            if child:
                self._run_in_child(child, claim, lost, advanced.append)
            else:
                self.execute(claim, lost, advanced.append)
        return self._go_on(advanced[0]) if advanced else ()

    def _run_in_child(
        self, child: Child, claim: Claim, lost: Callable[[], bool], advanced: Callable[[JobMessage], object]
    ) -> None:
        began = time.monotonic()
        try:
            child.run(claim, lost, advanced)
        except ChildDied as exc:
            self._fail(claim, exc, began)

    def _finish(self, ctx: TaskContext, result: Json) -> Aftermath:
        if not ctx.has_effects:
            with self._database.connection() as conn:
                if tasks.finish_task_unless_last(conn, ctx.task, result):
                    return Aftermath()
        return self._transitions.finish(ctx.transaction, ctx.task, result)

    def _fail(self, claim: Claim, error: Exception, began: float) -> None:
        task, info = claim.task, _task_error(claim, error)
        backoff = self._settings.backoff_seconds(task.tries)
        reason = {"code": info.code, "reason": info.message, "level": logging.WARNING}
        reason["where"] = None if isinstance(error, GeostageError) else where(error)
        with self._database.connection() as conn:
            action, aftermath = "abandon", Aftermath()
            if not isinstance(error, PermanentError) and tasks.requeue_task(
                conn,
                task,
                info.as_json(),
                backoff=timedelta(seconds=backoff),
                resend_after=timedelta(seconds=self._settings.sweep_resend_seconds),
            ):
                action = "requeue"
                aftermath = Aftermath(wake_ups=[WakeUp(task.task_id, task.queue)], delay_seconds=backoff)
            else:
                with conn.transaction():
                    failed = self._transitions.fail(conn, task, info.as_json())
                if failed:
                    action, aftermath = "fail", failed
        self._say(action, claim, began, **reason)
        self._settlement.settle(aftermath)

    def _say(self, action: str, claim: Claim, began: float | None = None, **fields: Any) -> None:
        seconds = None if began is None else round(time.monotonic() - began, 4)
        record(action, task=claim.task, stage=claim.stage, traceparent=claim.traceparent, seconds=seconds, **fields)


def _task_error(claim: Claim, error: Exception) -> ErrorInfo:
    task = claim.task
    if isinstance(error, GeostageError):
        return error.info(task_id=task.task_id, stage_n=task.stage_n, attempt=task.attempt)
    return ErrorInfo(
        code="task_error",
        category="internal",
        message=f"Task {task.task_type} failed unexpectedly: {describe(error)}",
        remediation=f"POST /api/jobs/{task.job_id}/retry tries it again; the task's log lines say where it failed.",
        retryable=True,
        user_fixable=False,
        task_id=task.task_id,
        stage_n=task.stage_n,
        attempt=task.attempt,
    )
