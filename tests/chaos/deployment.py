"""A running host under test: jobs by HTTP, truth by SQL, and the sweep at once instead of every 30 s."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from controllers import CONTROLLERS
from controllers.engine.engine import Engine
from local.hosts import Host
from local.stack import Stack
from repositories.postgres import Database
from repositories.storage.blobs import AzureBlobs
from repositories.storage.queues import AzureQueues
from schema.errors import GeostageError
from schema.settings import Settings
from services import resolve_handler
from tests.chaos.app.slow import Slow
from tests.fixtures.waiting import eventually
from tests.integration.protocol import invariants

ENDED = ("completed", "completed_with_errors", "failed", "cancelled")


class Deployment:
    """What a test does to a host and its servers."""

    def __init__(self, stack: Stack, host: Host, env: Mapping[str, str]) -> None:
        self.stack = stack
        self.host = host
        self._database = Database(stack.postgres_dsn)
        given = {name.removeprefix("GEOSTAGE_").lower(): value for name, value in env.items()}
        settings = Settings(
            postgres_dsn=stack.postgres_dsn,
            storage_connection_string=stack.storage_connection_string,
            **given,  # type: ignore[arg-type]
        )
        queues, blobs = AzureQueues(settings), AzureBlobs(settings)
        controllers = {**CONTROLLERS, Slow.job_type: Slow()}
        self._engine = Engine(settings, self._database, queues, blobs, controllers, resolve_handler)

    def submit(self, job_type: str, **parameters: Any) -> str:
        """POST a job and give its id."""
        answer = httpx.post(f"{self.host.url}/jobs/{job_type}", json=parameters, timeout=30)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def sql(self, statement: str, *params: Any) -> list[dict[str, Any]]:
        """Ask the database, on a connection that no fault of the test has touched."""
        with psycopg.connect(self.stack.postgres_dsn, autocommit=True, row_factory=dict_row) as conn:
            cursor = conn.execute(statement.encode(), params)
            return cursor.fetchall() if cursor.description else []

    def count(self, job_id: str, status: str, stage_n: int = 1) -> int:
        """Count the tasks of a stage in a state."""
        statement = "SELECT count(*) AS n FROM app.tasks WHERE job_id = %s AND stage_n = %s AND status::text = %s"
        found: int = self.sql(statement, job_id, stage_n, status)[0]["n"]
        return found

    def wait(self, holds: Callable[[], Any], seconds: float = 120.0) -> None:
        """Wait until something holds."""
        eventually(holds, seconds)

    def in_the_middle(self, job_id: str, at_least: int = 5) -> None:
        """Wait until some tasks of the first stage are completed and others run."""
        self.wait(lambda: self.count(job_id, "completed") >= at_least and self.count(job_id, "processing"))

    def follow(self, job_id: str, seconds: float = 120.0) -> str:
        """Sweep until the job has ended, and give its status."""

        def ended() -> bool:
            self.sweep()
            row = self.sql("SELECT status::text FROM app.jobs WHERE job_id = %s", job_id)
            return row[0]["status"] in ENDED

        self.wait(ended, seconds)
        return str(self.sql("SELECT status::text FROM app.jobs WHERE job_id = %s", job_id)[0]["status"])

    def effects(self, job_id: str) -> list[str]:
        """Tasks whose effect was committed, as often as it was."""
        rows = self.sql("SELECT task_id FROM geo.effects WHERE starts_with(task_id, %s) ORDER BY 1", job_id)
        return [row["task_id"] for row in rows]

    def broken(self) -> list[str]:
        """Rules of the protocol that do not hold."""
        with self._database.connection() as conn:
            return invariants.broken(conn)

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def sweep(self) -> None:
        """Run a pass, if the database answers."""
        try:
            self._engine.sweeper.sweep(period_seconds=0.5)
        except GeostageError:
            return
