"""A PostgreSQL + PostGIS cluster of the stack's own: loopback TCP, a random password, an ordinary (not super) user.

The application's role may create databases and roles but is not a superuser, as on Azure; extensions that need one are
put into template1, which is what allow-listing an extension does there.
"""

import hashlib
import os
import pwd
import re
import secrets
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from local.errors import MissingServer, StackError
from local.paths import PROJECT
from local.servers.ports import LOOPBACK
from local.servers.processes import ProcessId, spawn, stop

ROLE = "geostage"
DATABASE = "geostage"
EXTENSIONS = ("postgis", "btree_gist", "unaccent")
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "max_wal_size": "2GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


@dataclass(frozen=True)
class Postgres:
    """One cluster on disk; it runs as the `postgres` system user when we are root, whom PostgreSQL refuses."""

    base: Path  # holds data/ and password
    log: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "Postgres":
        """Return the cluster of the stack in `folder`; it may have to live elsewhere."""
        return cls(_reachable(folder / "postgres"), folder / "log" / "postgres.log")

    @property
    def data(self) -> Path:
        """The cluster's data folder."""
        return self.base / "data"

    def dsn(self, port: int, database: str = DATABASE, role: str = ROLE) -> str:
        """Return the libpq URI of a database of this cluster."""
        password = (self.base / "password").read_text().strip()
        return f"postgresql://{role}:{password}@{LOOPBACK}:{port}/{database}"

    def prepare(self) -> None:
        """Make the cluster, once. A cluster that was half made by an interrupted run is made again."""
        if self.data.exists():
            return
        self.base.mkdir(parents=True, exist_ok=True)
        draft = self.base / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        password = self.base / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_hex(16) + "\n")
        for path in (self.base, password) if os.geteuid() == 0 else ():
            shutil.chown(path, "postgres", "postgres")
        self.base.chmod(0o700)
        options = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        command = [str(_binaries(None) / "initdb"), *options, f"--pwfile={password}", "-D", str(draft)]
        done = subprocess.run([*_as_owner(), *command], cwd="/", capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"initdb failed: {done.stderr.strip() or done.stdout.strip()}")
        draft.rename(self.data)

    def launch(self, port: int) -> ProcessId:
        """Start the server without waiting for it."""
        settings = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        server = str(_binaries(self.data) / "postgres")
        command = [*_as_owner(), server, "-D", str(self.data), "-p", str(port), *settings]
        return spawn(command, self.log, cwd=Path("/"))

    def wait(self, port: int, process: ProcessId, seconds: float = 60.0) -> None:
        """Until the server takes queries (the password proves that it is ours), or StackError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.alive():
            try:
                psycopg.connect(self.dsn(port, "postgres", "postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        raise StackError(f"PostgreSQL does not answer on port {port}. Its log is {self.log}.")

    def make_database(self, port: int, fresh: bool) -> None:
        """The application's role and database; with `fresh` every database of an earlier run is dropped first."""
        with psycopg.connect(self.dsn(port, "template1", "postgres"), autocommit=True) as connection:
            role = sql.Identifier(ROLE)
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [ROLE]).fetchone():
                password = sql.Literal((self.base / "password").read_text().strip())
                create = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(role, password)
                connection.execute(create)
                connection.execute(sql.SQL("GRANT pg_monitor, pg_signal_backend TO {}").format(role))
            for extension in EXTENSIONS:
                connection.execute(sql.SQL("CREATE EXTENSION IF NOT EXISTS {}").format(sql.Identifier(extension)))
        with psycopg.connect(self.dsn(port, "postgres", "postgres"), autocommit=True) as connection:
            query = "SELECT datname FROM pg_database WHERE datdba = %s::regrole"
            present = [row[0] for row in connection.execute(query, [ROLE])]
            for name in present if fresh else []:
                connection.execute(sql.SQL("ALTER DATABASE {} IS_TEMPLATE false").format(sql.Identifier(name)))
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
            if fresh or DATABASE not in present:
                database = sql.Identifier(DATABASE)
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))

    def stop(self, process: ProcessId, immediate: bool = False) -> None:
        """Fast shutdown; `immediate` is a crash: no checkpoint, recovery at the next start."""
        stop(process, signal.SIGQUIT if immediate else signal.SIGINT)


def _as_owner() -> list[str]:
    """The words before a server command: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    try:
        pwd.getpwnam("postgres")
    except KeyError:
        raise MissingServer("There is no system user 'postgres'. Run ./dev, which installs PostgreSQL.") from None
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]


def _reachable(folder: Path) -> Path:
    """`folder`, or one in the home of the server's user when it may not pass through the project's parents (/root)."""
    if os.geteuid() != 0:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    probe = [*_as_owner(), "test", "-x", str(folder.parent)]
    if subprocess.run(probe, cwd="/", check=False).returncode == 0:
        return folder
    digest = hashlib.sha256(str(PROJECT).encode()).hexdigest()[:12]
    return Path(pwd.getpwnam("postgres").pw_dir) / f"geostage-{digest}" / folder.parent.name / folder.name


def _binaries(data: Path | None) -> Path:
    """The folder of the server programs: of the cluster's version, or of the newest one that has PostGIS."""
    installed = {path.parent.parent.name: path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")}
    if data is not None:
        version = (data / "PG_VERSION").read_text().strip()
        if version in installed:
            return installed[version]
        raise MissingServer(
            f"{data} was made by PostgreSQL {version}, which is not installed. Install that version, or remove {data}."
        )
    extensions = Path("/usr/share/postgresql")
    usable = [v for v in installed if (extensions / v / "extension" / "postgis.control").exists()]
    if not usable:
        raise MissingServer("No PostgreSQL server with PostGIS is installed. Run ./dev, which installs it.")
    return installed[max(usable, key=lambda version: int(re.sub(r"\D", "", version) or 0))]
