"""Health: whether Geostage can work, part by part; each part has its own state and its own limit of time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from controllers.engine import log
from repositories.jobs import poison
from repositories.jobs.sweep import STALE_SWEEP_SECONDS, sweep_age
from repositories.migrate import applied_migrations, migration_names
from repositories.postgres import Database
from repositories.storage.blobs import Blobs
from repositories.storage.queues import Queues
from schema.errors import GeostageError
from schema.jobs import Json
from schema.messages import QUEUES
from schema.settings import Settings

LIMIT_SECONDS = 3.0
NEVER_SECONDS = 10 * 365 * 86400
"""The sweep's first time is the epoch."""
HEALTHY = ("ok", "waiting", "attention")
"""attention: it works, and somebody should look; a load balancer must not take it away."""
LOOK = "Look at the line health_error of the log."
Check = Callable[[], Json]


class Health:
    """Runs checks side by side. One that hangs is waited for no longer than its limit, and is not started again
    before it has come back: callers who ask often share its answer instead of piling up threads.
    """

    def __init__(self, checks: Mapping[str, Check], *, limit_seconds: float = LIMIT_SECONDS) -> None:
        self._checks = checks
        self._limit_seconds = limit_seconds
        self._pool = ThreadPoolExecutor(len(checks), thread_name_prefix="health")
        self._running: dict[str, Future[Json]] = {}
        self._lock = threading.Lock()

    def look(self) -> tuple[bool, Json]:
        """Return whether every part can work, and the state of each."""
        with self._lock:
            for name, check in self._checks.items():
                running = self._running.get(name)
                if running is None or running.done():
                    self._running[name] = self._pool.submit(_checked, check)
            started = dict(self._running)
        # One limit for all of them, since they run side by side: a load balancer does not wait for six in a row.
        until = time.monotonic() + self._limit_seconds
        parts: dict[str, Json] = {}
        for name, future in started.items():
            try:
                parts[name] = future.result(max(until - time.monotonic(), 0.0))
            except FutureTimeout:
                message = f"There was no answer within {self._limit_seconds:g} s."
                remedy = "Try again in a few seconds."
                parts[name] = {"status": "unavailable", "message": message, "remediation": remedy}
        healthy = all(part["status"] in HEALTHY for part in parts.values())
        return healthy, {"status": "ok" if healthy else "unavailable", "checks": parts}


def _checked(check: Check) -> Json:
    try:
        return check()
    except GeostageError as exc:
        return {"status": "unavailable", "message": exc.message, "remediation": exc.remediation}
    # Whatever breaks a check is a state of its part: the others are still to be told.
    except Exception as exc:  # noqa: BLE001
        log.event("health_error", level=logging.ERROR, reason=log.describe(exc), where=log.where(exc))
        return {"status": "unavailable", "message": "The check itself failed.", "remediation": LOOK}


@dataclass(frozen=True)
class Checks:
    """What is looked at. Anybody may ask: it tells states, and no address, setting or name; of amounts only how old the
    last sweep is, and how many messages were poisoned.
    """

    settings: Settings
    database: Database
    queues: Queues
    blobs: Blobs

    def by_name(self) -> Mapping[str, Check]:
        """Return every check."""
        return {
            "database": self.reach_database,
            "migrations": self.compare_migrations,
            "queues": self.reach_queues,
            "containers": self.reach_containers,
            "sweep": self.hear_sweep,
            "poison": self.count_poison,
        }

    def reach_database(self) -> Json:
        """A statement is answered."""
        with self.database.connection() as conn:
            sweep_age(conn)
        return {"status": "ok"}

    def compare_migrations(self) -> Json:
        """The database has every migration of this version."""
        with self.database.connection() as conn:
            missing = sorted(set(migration_names()) - set(applied_migrations(conn)))
        if missing:
            return {"status": "missing", "missing": missing, "remediation": "Run python -m repositories.migrate."}
        return {"status": "ok"}

    def reach_queues(self) -> Json:
        """Every queue answers."""
        # A queue is made when it is first written to; until then it is counted as empty, which is right.
        for queue in QUEUES:
            self.queues.count(queue)
        return {"status": "ok"}

    def reach_containers(self) -> Json:
        """Blob storage answers; a container of ours that is missing is made when it is first written to."""
        named = {"output": self.settings.output_container, "work": self.settings.work_container}
        found = {role: "ok" if self.blobs.has_container(name) else "waiting" for role, name in named.items()}
        return {"status": "ok", **found}

    def hear_sweep(self) -> Json:
        """The sweep has run lately."""
        with self.database.connection() as conn:
            age = sweep_age(conn)
        if age > NEVER_SECONDS:
            return {"status": "waiting", "message": "The sweep has not run yet."}
        return {"status": "ok" if age < STALE_SWEEP_SECONDS else "stale", "age_seconds": round(age, 1)}

    def count_poison(self) -> Json:
        """Messages that failed again and again are a reason to look, but jobs go on without them."""
        with self.database.connection() as conn:
            counts = poison.count(conn)
        if not counts:
            return {"status": "ok", "counts": {}}
        return {"status": "attention", "counts": counts, "remediation": "GET /api/monitor/poison shows them."}
