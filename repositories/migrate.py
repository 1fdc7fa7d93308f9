"""Migrations: `python -m repositories.migrate` brings the database up to date; forward only, numbered, each once."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg

from repositories.catalog.pgstac import migrate_pgstac, pgstac_target
from repositories.postgres import Connection, DatabaseUnavailable, Statements
from schema.errors import GeostageError, PermanentError
from schema.jobs import Json
from schema.settings import get_settings

MIGRATIONS = Path(__file__).parent.parent / "schema" / "migrations"
_LOCK = 0x67656F73  # "geos": one migration run at a time
_LEDGER = Statements("migrations")


class MigrationRefused(PermanentError):
    """The database does not let this role change its schema."""

    code = "migration_refused"
    category = "configuration"


@dataclass(frozen=True)
class Applied:
    """What a run of all migrations did."""

    names: list[str]
    """Our migrations that were missing, and pgSTAC with its version."""
    pgstac: str
    """The version of pgSTAC that the database has now."""

    def as_json(self) -> Json:
        known = [path.name for path in migration_files()]
        return {"applied": self.names, "migrations": known, "pgstac_version": self.pgstac}


def migrate_all(dsn: str) -> Applied:
    """Apply our migrations, then pgSTAC's, as far as they are missing; two runs at once wait for each other.

    Raises
    ------
    MigrationRefused
        The role may not, or the server lacks an extension.
    DatabaseUnavailable
        It cannot be reached.
    """
    try:
        # pgSTAC comes second, and by its own package: that knows the steps between its versions, and drains its queue.
        names = migrate(dsn)
        catalog = migrate_pgstac(dsn)
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported) as exc:
        raise MigrationRefused(
            f"The database role of this deployment may not apply the migrations: {str(exc).splitlines()[0]}.",
            remediation="Allow-list the extensions postgis, btree_gist and unaccent on the server, and run "
            "python -m repositories.migrate as a role that may create extensions, schemas and roles.",
        ) from exc
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable("The database cannot be reached.", remediation="Try again in a few seconds.") from exc
    return Applied([*names, *([f"pgSTAC {catalog}"] if catalog else [])], pgstac_target())


def migrate(dsn: str) -> list[str]:
    """Apply the migrations that the database does not have, each in its own transaction, and return their names."""
    with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as conn:
        # Before the ledger is read: of two runs at once, the second waits here and finds nothing pending.
        conn.execute(_LEDGER["lock"], {"key": _LOCK})
        conn.execute(_LEDGER["create_ledger"])
        done = {name for (name,) in conn.execute(_LEDGER["applied"])}
        pending = [path for path in migration_files() if path.name not in done]
        for path in pending:
            with conn.transaction():
                # As bytes and without parameters: a file has many statements, and a % in it is not a placeholder.
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
    """List the names of the migrations that a database should have."""
    return [path.name for path in migration_files()]


def main() -> int:
    """Migrate the database that GEOSTAGE_POSTGRES_DSN names: our migrations, then pgSTAC's."""
    try:
        applied = migrate_all(get_settings().postgres_dsn.get_secret_value())
    except GeostageError as exc:
        sys.stderr.write(f"{exc.message} {exc.remediation}\n")
        return 1
    sys.stdout.write("".join(f"applied {name}\n" for name in applied.names) or "up to date\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
