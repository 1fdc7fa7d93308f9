"""Progress: which file a task opens next, so that the try after its death can pass over the one that killed it."""

from __future__ import annotations

from psycopg import sql

from repositories.postgres import Connection, Database, Statements
from schema.jobs import Task
from schema.settings import WORK_SCHEMA

DEADLY = frozenset(("process_died", "out_of_memory", "task_deadline", "task_error"))
"""Codes of errors that the file which was open may be to blame for."""
_sql = Statements("jobs/progress")


def make(conn: Connection, job_id: str) -> None:
    """Make the table of a job's tasks, in the transaction that is open."""
    conn.execute(_statement("make", job_id))


def begin(database: Database, task: Task) -> dict[str, str]:
    """Begin a try; gives the files that earlier ones died by, each with how."""
    error = task.error or {}
    died = error.get("attempt") if error.get("code") in DEADLY else None
    given = {"task_id": task.task_id, "attempt": task.attempt, "died_attempt": died, "reason": error.get("message", "")}
    with database.connection() as conn:
        row = conn.execute(_statement("begin", task.job_id), given).fetchone()
    return dict(row["suspects"]) if row else {}


def note(database: Database, task: Task, name: str | None) -> None:
    """Say which file is opened next, at once and whatever becomes of the task; None: no file is open."""
    with database.connection() as conn:
        conn.execute(_statement("note", task.job_id), {"name": name, "task_id": task.task_id, "attempt": task.attempt})


def _statement(name: str, job_id: str) -> sql.Composed:
    return _sql[name].format(table=sql.Identifier(WORK_SCHEMA, f"s_{job_id}_progress"))
