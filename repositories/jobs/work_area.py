"""The work areas of ended jobs: which are due to be cleared, and their tables in the work schema."""

from __future__ import annotations

from typing import Literal

from psycopg import sql

from repositories.postgres import Connection, Statements
from schema.settings import WORK_SCHEMA

_sql = Statements("jobs/work_area")


def clearable_jobs(conn: Connection, *, limit: int) -> list[str]:
    """List ended jobs whose work area is to be cleared."""
    return [row["job_id"] for row in _sql.rows(conn, "clearable_jobs", limit=limit)]


def begin_clearing(conn: Connection, job_id: str) -> Literal["first", "last"] | None:
    """Mark a work area as gone, before anything of it is deleted, for the first or last time; None: it is not due."""
    row = _sql.first(conn, "begin_clearing", job_id=job_id)
    if row is None:
        return None
    return "first" if row["work_area"] == "kept" else "last"


def end_clearing(conn: Connection, job_id: str) -> None:
    """Note that nothing of a work area is left to delete."""
    _sql.run(conn, "end_clearing", job_id=job_id)


def drop_work_tables(conn: Connection, job_id: str) -> int:
    """Drop a job's tables in the work schema and say how many."""
    # A worker that does not know yet that its task was cancelled may still write to them; the sweep comes again.
    _sql.run(conn, "wait_briefly")
    rows = _sql.rows(conn, "work_tables", schema=WORK_SCHEMA, prefix=f"s_{job_id}")
    # By name, since a failed job may have left any of its tables; the prefix holds the whole id of the job.
    for row in rows:
        table = sql.Identifier(WORK_SCHEMA, row["relname"])
        conn.execute(_sql["drop_work_table"].format(table=table))
    return len(rows)
