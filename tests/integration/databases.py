"""Databases of their own beside the stack's, for tests that empty them: no other process writes to them."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
from psycopg import sql

from local.stack import Stack
from repositories.postgres import Database


def new_database(stack: Stack, name: str, *prepare: Callable[[str], object]) -> str:
    """Make an empty database on the stack's server, prepare it step by step, and give its URI."""
    with psycopg.connect(stack.postgres_dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("DROP DATABASE IF EXISTS {}").format(sql.Identifier(name)))
        conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    dsn = stack.postgres_dsn.rpartition("/")[0] + f"/{name}"
    for step in prepare:
        step(dsn)
    return dsn


def add_effects(dsn: str) -> None:
    """Make the table that the protocol's handler `leave_effect` writes to."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("CREATE TABLE IF NOT EXISTS geo.effects (task_id text, attempt integer)")


def forget_jobs(database: Database) -> None:
    """Remove all jobs and their tasks."""
    with database.connection() as conn:
        conn.execute("TRUNCATE app.jobs, app.tasks, app.poison")
        conn.execute("UPDATE app.sweep SET swept_at = 'epoch'")
