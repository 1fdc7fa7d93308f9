"""Poison messages: kept where an operator can look at them."""

from __future__ import annotations

from psycopg.rows import DictRow

from repositories.postgres import Connection, Statements
from schema.jobs import job_id_of
from schema.messages import TaskMessage, content_of, decode

_sql = Statements("jobs/poison")


def insert(conn: Connection, queue: str, body: bytes) -> int | None:
    """Keep a message, with the ids that it holds, if any; return the id that it is kept under."""
    message = decode(body)
    task_id = message.task_id if isinstance(message, TaskMessage) else None
    job_id = job_id_of(task_id) if task_id else getattr(message, "job_id", None)
    # A foreign message may hold any bytes; text in PostgreSQL holds no NUL.
    content = content_of(body).decode(errors="replace").replace("\0", "\ufffd")
    row = _sql.first(conn, "insert_poison", queue=queue, content=content, job_id=job_id, task_id=task_id)
    return row["poison_id"] if row else None


def take(conn: Connection, *, newest: int, limit: int, readable: bool, poison_id: int | None = None) -> list[DictRow]:
    """Remove and return messages up to the id `newest`, or the one; `readable`: only what Geostage wrote."""
    return _sql.rows(conn, "take_poison", poison_id=poison_id, newest=newest, limit=limit, readable=readable)


def is_readable(conn: Connection, poison_id: int) -> bool | None:
    """Whether a kept message was written by Geostage; None when there is no such message."""
    row = _sql.first(conn, "find_poison", poison_id=poison_id)
    return bool(row["readable"]) if row else None


def newest(conn: Connection) -> int:
    """Return the id of the newest kept message; 0 when there is none."""
    row = _sql.first(conn, "newest_poison")
    return (row["newest"] or 0) if row else 0


def count(conn: Connection) -> dict[str, int]:
    """Count the kept messages by queue."""
    return {row["queue"]: row["messages"] for row in _sql.rows(conn, "count_poison")}


def page(conn: Connection, *, before: int | None, limit: int) -> list[DictRow]:
    """List kept messages, newest first, with status and error of the rows that they point at."""
    return _sql.rows(conn, "list_poison", before=before, limit=limit)
