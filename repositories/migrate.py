"""Migrations: `python -m repositories.migrate` brings the database up to date; forward only, numbered, each once."""

from __future__ import annotations

import sys
from pathlib import Path

import psycopg

from repositories.pgstac import migrate_pgstac
from repositories.postgres import Connection, load_queries
from schema.settings import get_settings

MIGRATIONS = Path(__file__).parent.parent / "schema" / "migrations"
_LOCK = 0x67656F73  # "geos": one migration run at a time
_LEDGER = load_queries("migrations")


def migrate(dsn: str) -> list[str]:
    """Apply the migrations that the database does not have, each in its own transaction, and give their names."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as conn:
        conn.execute(_LEDGER["lock"], {"key": _LOCK})
        conn.execute(_LEDGER["create_ledger"])
        done = {name for (name,) in conn.execute(_LEDGER["applied"])}
        pending = [path for path in migration_files() if path.name not in done]
        for path in pending:
            with conn.transaction():
                conn.execute(path.read_bytes())
                conn.execute(_LEDGER["record"], {"name": path.name})
        conn.execute(_LEDGER["pin_isolation"])
        return [path.name for path in pending]


def applied_migrations(conn: Connection) -> list[str]:
    """List the migrations that the database has."""
    return [row["name"] for row in conn.execute(_LEDGER["applied"])]


def migration_files() -> list[Path]:
    """List the migrations in the order of their numbers."""
    return sorted(MIGRATIONS.glob("[0-9][0-9][0-9][0-9]_*.sql"))


def migration_names() -> list[str]:
    """List the names that the ledger of a database should have."""
    return [path.name for path in migration_files()]


def main() -> int:
    """Migrate the database that GEOSTAGE_POSTGRES_DSN names: our migrations, then pgSTAC's."""
    dsn = get_settings().postgres_dsn.get_secret_value()
    applied = migrate(dsn)
    catalog = migrate_pgstac(dsn)
    applied += [f"pgSTAC {catalog}"] if catalog else []
    sys.stdout.write("".join(f"applied {name}\n" for name in applied) or "up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
