"""Running tasks, from top to bottom: claim, run the handler, finish, start the next stage, claim the next task.

Every handler's error is caught here: it is the task's, never the worker's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from typing import Any

from controllers.engine import log
from controllers.engine.child_pool import Child, ChildDied, Children
from controllers.engine.dispatch import Dispatcher
from controllers.engine.heartbeat import Heartbeat
from controllers.engine.start import Starter
from controllers.engine.transitions import AfterCommit, FenceBroken, Transitions
from repositories.jobs import tasks
from repositories.jobs.tasks import Claim, WakeUp
from repositories.postgres import Database
from repositories.storage.blobs import Blobs
from schema.errors import ErrorInfo, GeostageError, PermanentError, TaskInterrupted
from schema.jobs import Job, Json, TaskQueue
from schema.messages import JobMessage
from schema.settings import Settings
from services import Handler
from services.context import TaskContext

GO_ON_SECONDS = 20
"""How long a worker goes on from task to task: with the deadline of the last one it stays below functionTimeout.

Through the queue every task and stage would wait for polls: of the 3.6 s of a small CSV, 1.3 were such waits.
"""


@dataclass(frozen=True)
class Outcome:
    """What the run of a handler leaves once its transaction has committed or rolled back."""

    next_stage: JobMessage | None = None
    """The stage that the task's job has moved on to; the caller is to start it."""
    after_commit: AfterCommit = field(default_factory=AfterCommit)
    cleanup: Sequence[Callable[[], object]] = ()
    """What the handler itself wants done after the commit."""


class Runner:
    """Runs the tasks of one worker process."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        blobs: Blobs,
        transitions: Transitions,
        starter: Starter,
        dispatcher: Dispatcher,
        resolve_handler: Callable[[str], Handler],
        children: Children | None,
    ) -> None:
        self._settings = settings
        self._database = database
        self._blobs = blobs
        self._transitions = transitions
        self._starter = starter
        self._dispatcher = dispatcher
        self._resolve_handler = resolve_handler
        self._children = children
        self.heartbeat = Heartbeat(database, settings)
        self._lease = {
            "lease": timedelta(seconds=settings.lease_seconds),
            "deadline": timedelta(seconds=settings.task_deadline_seconds),
        }

    def process_task(self, task_id: str, queue: str, *, go_on_seconds: float = GO_ON_SECONDS) -> None:
        """Run a task, then others that wait in its queue, for a while; do nothing if the task cannot be claimed.

        A task need not wait for its own message where a worker is free; a message that comes later finds it claimed.

        Raises
        ------
        ChildDied
            No child process could be started; nothing was claimed, and the host hands the message over again later.
        TooManyMessages
            As many tasks of this queue as the worker has processes for run already; likewise.
        """
        until = time.monotonic() + go_on_seconds
        children = None if queue == TaskQueue.LIGHT else self._children
        # The child comes before the claim: a task that waits for one to start stays free for other workers.
        with self._dispatcher.sending() as send, children.take(queue) if children else nullcontext() as child:
            claim = self._claim(task_id)
            while claim:
                done = claim.task
                next_stage = self._run_claimed(claim, child)
                goes_on = time.monotonic() < until and (child is None or child.fit)
                claim = None
                if next_stage:
                    claim = self._start_next_stage(next_stage, queue if goes_on else None, send)
                if goes_on and not claim:
                    # Round robin by job: going on with one as long as it has tasks made a small job wait for 20 s.
                    with self._database.connection() as conn:
                        claim = tasks.claim_next_task(conn, done.queue, done.job_id, **self._lease)

    def _claim(self, task_id: str) -> Claim | None:
        with self._database.connection() as conn:
            claim = tasks.claim_task(conn, task_id, **self._lease)
        if claim is None:
            log.event("claim_refused", task_id=task_id, level=logging.DEBUG)
        return claim

    def _run_claimed(self, claim: Claim, child: Child | None) -> JobMessage | None:
        """Run a claimed task to its end under a heartbeat; return the stage that its job has moved on to, if it has."""
        self._log("claim", claim, tries=claim.task.tries)
        began = time.monotonic()
        with self.heartbeat.hold(claim.task) as lost:
            if child is None:
                outcome = self.run_handler(claim, lost)
                self.run_after_commit(claim, outcome)
                return outcome.next_stage
            try:
                return child.run(claim, lost)
            except ChildDied as exc:
                self._dispatcher.dispatch(self._fail(claim, exc, began))
                return None

    def run_handler(self, claim: Claim, lost: Callable[[], bool]) -> Outcome:
        """Run the handler of a claimed task and finish the task in the handler's own transaction.

        It needs nothing but the claim, so that it can run in another process than the one that keeps the lease.
        """
        task, began = claim.task, time.monotonic()
        try:
            handler = self._resolve_handler(task.task_type)
            with TaskContext(task, claim.source, self._settings, self._blobs, self._database, lost) as ctx:
                # Before the finish: the blob of a large result must not be written while the job's row is locked.
                result = self._dispatcher.fit_result(f"{task.task_id}-{task.attempt}", handler(ctx))
                moved = self._finish(ctx, result)
        except (TaskInterrupted, FenceBroken):
            self._log("abandon", claim, began)
            return Outcome()
        # The one place that catches whatever a handler raises: it is the task's error, never the worker's.
        except Exception as exc:  # noqa: BLE001
            return Outcome(after_commit=self._fail(claim, exc, began))
        self._log("finish", claim, began)
        if moved and not moved.status.ended:
            log.event("advance", job=moved)
            return Outcome(next_stage=JobMessage.of(moved), cleanup=ctx.afterwards)
        return Outcome(after_commit=AfterCommit(moved), cleanup=ctx.afterwards)

    def _finish(self, ctx: TaskContext, result: Json) -> Job | None:
        """Complete a task behind its fence; return its job if that moved. Raises FenceBroken."""
        # Without effects one statement does: with a round trip of the client under the job's lock, 500 empty tasks ran
        # at half the rate of an empty queue function. The last task of a stage takes the whole transaction.
        if not ctx.has_effects:
            with self._database.connection() as conn:
                if tasks.finish_task_unless_last(conn, ctx.task, result):
                    return None
        return self._transitions.finish(ctx.transaction, ctx.task, result)

    def _fail(self, claim: Claim, error: Exception, began: float) -> AfterCommit:
        """Requeue a task, or fail it for good if its error is permanent or its tries are used up."""
        task, info = claim.task, _task_error(claim, error)
        reason = {"code": info.code, "reason": info.message, "level": logging.WARNING}
        # Errors of ours are about the input; of anything else the log must show the line.
        reason["where"] = None if isinstance(error, GeostageError) else log.where(error)
        backoff = self._settings.backoff_seconds(task.tries)
        resend_after = timedelta(seconds=self._settings.sweep_resend_seconds)
        with self._database.connection() as conn:
            # The statement decides whether tries are left: a count in this process may be that of an earlier claim.
            if not isinstance(error, PermanentError) and tasks.requeue_task(
                conn, task, info.as_json(), backoff=timedelta(seconds=backoff), resend_after=resend_after
            ):
                self._log("requeue", claim, began, **reason)
                return AfterCommit(wake_ups=[WakeUp(task.task_id, task.queue)], delay_seconds=backoff)
            try:
                with conn.transaction():
                    moved = self._transitions.fail(conn, task, info.as_json())
            except FenceBroken:
                self._log("abandon", claim, began, **reason)
                return AfterCommit()
        self._log("fail", claim, began, **reason)
        return AfterCommit(moved)

    def run_after_commit(self, claim: Claim, outcome: Outcome) -> None:
        """Do what the run of a task left for after its commit. The task has ended: what fails here is only logged."""
        self._dispatcher.dispatch(outcome.after_commit)
        for act in outcome.cleanup:
            try:
                act()
            # This is code of the handler too: its error must neither end the worker nor stop the other cleanups.
            except Exception as exc:  # noqa: BLE001
                log.event(
                    "tidy_failed",
                    task=claim.task,
                    level=logging.WARNING,
                    reason=log.describe(exc),
                    where=log.where(exc),
                )

    def _start_next_stage(
        self, message: JobMessage, queue: str | None, send: Callable[[Sequence[WakeUp]], None]
    ) -> Claim | None:
        """Start the stage that a job has moved on to and claim its first task, if that is of the worker's queue.

        A job keeps its worker over the end of a stage, which happens a few times in its life: six small jobs that took
        turns task by task would all end as late as the last one. The messages of the other tasks go out meanwhile.
        Where the stage cannot be started its message is sent instead.
        """
        try:
            start = self._starter.start_stage(message)
        except GeostageError as exc:
            log.event("start_failed", level=logging.WARNING, reason=log.describe(exc), **asdict(message))
            self._dispatcher.send_start(message)
            return None
        self._dispatcher.dispatch(start.after_commit)
        first = next((wake_up for wake_up in start.wake_ups if wake_up.queue == queue), None)
        send([wake_up for wake_up in start.wake_ups if wake_up is not first])
        if first is None:
            return None
        try:
            return self._claim(first.task_id)
        except GeostageError:
            # Kept back for this worker, which does not have it now.
            send([first])
            raise

    def _log(self, action: str, claim: Claim, began: float | None = None, **fields: Any) -> None:
        seconds = None if began is None else round(time.monotonic() - began, 4)
        log.event(action, task=claim.task, stage=claim.stage, traceparent=claim.traceparent, seconds=seconds, **fields)


def _task_error(claim: Claim, error: Exception) -> ErrorInfo:
    task = claim.task
    if isinstance(error, GeostageError):
        return error.info(task_id=task.task_id, stage_n=task.stage_n, attempt=task.attempt)
    return ErrorInfo(
        code="task_error",
        category="internal",
        message=f"The task {task.task_type} failed unexpectedly: {log.describe(error)}",
        remediation=f"POST /api/jobs/{task.job_id}/retry runs it again; the log lines of the task say where it failed.",
        retryable=True,
        user_fixable=False,
        task_id=task.task_id,
        stage_n=task.stage_n,
        attempt=task.attempt,
    )
