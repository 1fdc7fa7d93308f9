"""Poisoned messages: kept where an operator can look at them."""

from __future__ import annotations

from psycopg.rows import DictRow

from repositories.postgres import Connection, Statements
from schema.jobs import job_id_of
from schema.messages import TaskMessage, decode

_sql = Statements("poison")


def insert(conn: Connection, queue: str, body: bytes) -> None:
    """Keep a message, with the ids that it bears, if any."""
    message = decode(body)
    task_id = message.task_id if isinstance(message, TaskMessage) else None
    job_id = job_id_of(task_id) if task_id else getattr(message, "job_id", None)
    content = body.decode(errors="replace").replace("\0", "\ufffd")
    _sql.run(conn, "insert_poison", queue=queue, content=content, job_id=job_id, task_id=task_id)


def count(conn: Connection) -> dict[str, int]:
    """Count the kept messages by queue."""
    return {row["queue"]: row["messages"] for row in _sql.rows(conn, "count_poison")}


def page(conn: Connection, *, before: int | None, limit: int) -> list[DictRow]:
    """List kept messages, newest first, with status and error of the rows that they point at."""
    return _sql.rows(conn, "list_poison", before=before, limit=limit)
