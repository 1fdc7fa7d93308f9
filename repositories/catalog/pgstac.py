"""pgSTAC's own migrations, run by its package after ours: it knows the steps between its versions."""

from __future__ import annotations

import json
from importlib import import_module
from importlib.metadata import version

import psycopg
from psycopg.rows import TupleRow
from psycopg.types.json import set_json_dumps, set_json_loads

from repositories.postgres import Statements

_LOCK = 0x73746163  # "stac": one run at a time
_LEDGER = Statements("migrations")


def migrate_pgstac(dsn: str) -> str | None:
    """Migrate pgSTAC to the version of the installed package; return that version, or None if nothing was to do.

    It needs the extensions postgis, btree_gist and unaccent, and a role that may create roles. All steps of an upgrade
    are one transaction.
    """
    target = pgstac_target()
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as conn:
        conn.execute(_LEDGER["lock"], {"key": _LOCK})
        if installed_version(conn) == target:
            return None
        conn.execute(_LEDGER["prepare_pgstac"])
        # Imported here alone: it makes orjson the JSON of every psycopg connection in the process, which writes NaN as
        # null where ours must be refused. That is taken back below.
        runner = import_module("pypgstac.migrate")
        database = import_module("pypgstac.db").PgstacDB(dsn=dsn)
        set_json_dumps(json.dumps)
        set_json_loads(json.loads)
        # PgstacDB opens a pool on first use; its disconnect forgets the pool and leaves the pool's threads running.
        try:
            runner.Migrate(database).run_migration(target)
        finally:
            pool = database.pool
            database.disconnect()
            if pool:
                pool.close()
        return target


def pgstac_target() -> str:
    """Return the version of pgSTAC that this deployment works with."""
    return version("pypgstac")


def installed_version(conn: psycopg.Connection[TupleRow]) -> str | None:
    """Return the version of pgSTAC that a database has, None if it has none."""
    if conn.execute(_LEDGER["find_pgstac"]).fetchone() == (None,):
        return None
    found = conn.execute(_LEDGER["pgstac_version"]).fetchone()
    return str(found[0]) if found else None
