"""The handler of database_health: connections, locks, bloat, migrations, versions, and the age of the sweep."""

from __future__ import annotations

from repositories import inventory
from repositories.catalog import items
from repositories.jobs.sweep import STALE_SWEEP_SECONDS, sweep_age
from repositories.migrate import applied_migrations, migration_names
from repositories.postgres import Connection
from schema.jobs import Json
from services.context import TaskContext

READ_SECONDS = 30
SHOWN_TABLES = 20
SHOWN_WAITS = 50

MANY_CONNECTIONS = 0.85
"""Share of the server's connections."""
LONG_TRANSACTION_SECONDS = 300
LONG_WAIT_SECONDS = 30
MANY_DEAD_ROWS = 10_000
MANY_DEAD_PERCENT = 30
OLD_TRANSACTIONS = 500_000_000
"""Autovacuum freezes rows from 200 million on (autovacuum_freeze_max_age); near 2 billion PostgreSQL refuses writes."""


def database_health(ctx: TaskContext) -> Json:
    """Measure the database, and report of each part whether it is ok or needs attention, and why."""
    with items.reading(ctx.database, READ_SECONDS) as conn:
        server = inventory.one(conn, "server")
        parts = {
            "connections": judge_connections(inventory.one(conn, "connections"), server["max_connections"]),
            "locks": judge_locks(inventory.many(conn, "blocked", limit=SHOWN_WAITS)),
            "bloat": judge_bloat(
                inventory.many(conn, "bloat", limit=SHOWN_TABLES), inventory.one(conn, "transaction_age")["age"]
            ),
            "migrations": judge_migrations(applied_migrations(conn), migration_names()),
            "sweep": judge_sweep(sweep_age(conn)),
        }
        versions = {"postgresql": server["postgresql"], "postgis": server["postgis"], "pgstac": pgstac_version(conn)}
        counters = inventory.one(conn, "counters")
    attention = sorted(name for name, part in parts.items() if part["status"] != "ok")
    return {
        "status": "attention" if attention else "ok",
        "attention": attention,
        **parts,
        "versions": versions,
        "counters": counters,
        "bytes": server["bytes"],
        "uptime_seconds": round(server["uptime_seconds"]),
    }


def pgstac_version(conn: Connection) -> str | None:
    """Return the version of pgSTAC."""
    version: str | None = inventory.one(conn, "pgstac_version").get("version")
    return version


def judge_connections(found: Json, limit: int) -> Json:
    """Return the part of connections: many of them, or a transaction that is open for long, need attention."""
    why = []
    if found["server_total"] > MANY_CONNECTIONS * limit:
        why.append(f"{found['server_total']} of {limit} connections of the server are in use.")
    if found["longest_transaction_seconds"] > LONG_TRANSACTION_SECONDS:
        why.append(f"A transaction has been open for {found['longest_transaction_seconds']:.0f} s.")
    return {**_judged(why), **found, "limit": limit}


def judge_locks(waits: list[Json]) -> Json:
    """Return the part of locks: a session that waits for long needs attention."""
    long = [wait for wait in waits if wait["seconds"] > LONG_WAIT_SECONDS]
    why = [f"Process {wait['pid']} has waited {wait['seconds']:.0f} s for a lock." for wait in long[:5]]
    return {**_judged(why), "waiting": waits}


def judge_bloat(tables: list[Json], transaction_age: int) -> Json:
    """Return the part of bloat: many dead rows need attention, and rows that VACUUM has not frozen for long."""
    why = [
        f"{table['schema']}.{table['table']} has {table['dead_rows']:,} dead rows, {table['dead_percent']:g} % of all."
        for table in tables
        if table["dead_rows"] > MANY_DEAD_ROWS and table["dead_percent"] > MANY_DEAD_PERCENT
    ]
    if transaction_age > OLD_TRANSACTIONS:
        why.append(f"The oldest row is {transaction_age:,} transactions old; VACUUM must freeze it before 2 billion.")
    shown = [{**t, "vacuumed_at": t["vacuumed_at"].isoformat() if t["vacuumed_at"] else None} for t in tables]
    return {**_judged(why), "tables": shown, "transaction_age": transaction_age}


def judge_migrations(applied: list[str], wanted: list[str]) -> Json:
    """Return the part of migrations: those that the database lacks need attention."""
    missing = sorted(set(wanted) - set(applied))
    why = [f"Missing: {', '.join(missing)}. Run python -m repositories.migrate."] if missing else []
    return {**_judged(why), "applied": applied, "missing": missing}


def judge_sweep(age_seconds: float) -> Json:
    """Return the part of the sweep: one that has not run for long needs attention."""
    stale = age_seconds > STALE_SWEEP_SECONDS
    why = ["The sweep has not run for a while: no worker is running, or its timer is disabled."] if stale else []
    return {**_judged(why), "age_seconds": round(age_seconds, 1)}


def _judged(why: list[str]) -> Json:
    return {"status": "attention" if why else "ok", "why": why}
