"""Progress: which file a task opens next, so that the try after its death can skip the one that killed it."""

from __future__ import annotations

from psycopg import sql

from repositories.postgres import Connection, Database, Statements
from schema.jobs import Task
from schema.settings import WORK_SCHEMA

DEADLY = frozenset(("process_died", "out_of_memory", "task_deadline", "task_error"))
"""Codes of errors that the open file may have caused. A worker that was merely stopped is not among them."""
_sql = Statements("jobs/progress")


def make(conn: Connection, job_id: str) -> None:
    """Make the table of a job's tasks, in the transaction that is open."""
    conn.execute(_statement("make", job_id))


def begin(database: Database, task: Task) -> dict[str, str]:
    """Begin a try; return the files that killed earlier ones, each with the error."""
    error = task.error or {}
    died = error.get("attempt") if error.get("code") in DEADLY else None
    given = {"task_id": task.task_id, "attempt": task.attempt, "died_attempt": died, "reason": error.get("message", "")}
    with database.connection() as conn:
        row = conn.execute(_statement("begin", task.job_id), given).fetchone()
    return dict(row["suspects"]) if row else {}


def note(database: Database, task: Task, name: str | None) -> None:
    """Store which file is opened next; None: no file is open."""
    # In a transaction of its own: it must be there even if the process dies with the file open.
    with database.connection() as conn:
        conn.execute(_statement("note", task.job_id), {"name": name, "task_id": task.task_id, "attempt": task.attempt})


def _statement(name: str, job_id: str) -> sql.Composed:
    return _sql[name].format(table=sql.Identifier(WORK_SCHEMA, f"s_{job_id}_progress"))
