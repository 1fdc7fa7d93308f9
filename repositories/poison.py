"""Poisoned messages: kept where an operator can look at them."""

from __future__ import annotations

from psycopg.rows import DictRow

from repositories.postgres import Connection, load_queries
from schema.jobs import job_id_of
from schema.messages import TaskMessage, decode


def insert(conn: Connection, queue: str, body: bytes) -> None:
    """Keep a message, with the ids that it bears, if any."""
    message = decode(body)
    task_id = message.task_id if isinstance(message, TaskMessage) else None
    job_id = job_id_of(task_id) if task_id else getattr(message, "job_id", None)
    content = body.decode(errors="replace").replace("\0", "\ufffd")
    params = {"queue": queue, "content": content, "job_id": job_id, "task_id": task_id}
    conn.execute(load_queries("queries")["insert_poison"], params)


def count(conn: Connection) -> dict[str, int]:
    """Count the kept messages by queue."""
    rows = conn.execute(load_queries("queries")["count_poison"]).fetchall()
    return {row["queue"]: row["messages"] for row in rows}


def page(conn: Connection, *, before: int | None, limit: int) -> list[DictRow]:
    """List kept messages, newest first, with status and error of the rows that they point at."""
    return conn.execute(load_queries("queries")["list_poison"], {"before": before, "limit": limit}).fetchall()
