"""A stack: PostgreSQL + PostGIS and Azurite of its own under .local/<name>/, and the hosts that run on them.

    with Stack.spare("test") as stack:
        stack.migrate()
        host = stack.start_host(workers=2)
        httpx.get(f"{host.url}/health")
        stack.restart_postgres()

Everything that a stack starts is written to its state file and ends with it; nothing else is ever stopped.
"""

import fcntl
import os
import random
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from local.errors import StackError
from local.hosts import Host, HostOptions
from local.paths import LOCAL, PROJECT
from local.servers.azurite import SERVICES, Azurite, connection_string
from local.servers.ports import free_ports
from local.servers.postgres import Postgres
from local.servers.processes import ProcessId, reap, spawn, wait_until_ended
from local.state import StackState, stop_all
from schema.settings import POSTGRES_DSN_VARIABLE, STORAGE_VARIABLE

FIRST_POSTGRES_PORT = 5433
FIRST_AZURITE_PORT = 10000


class Stack:
    """The servers of one name. Use it as a context manager; one process at a time owns a stack."""

    def __init__(self, name: str, fresh: bool = False) -> None:
        """With `fresh` the databases, blobs and queues of earlier runs are dropped at the start."""
        self.name = name
        self.folder = LOCAL / name
        self.log_folder = self.folder / "log"
        self.state_file = self.folder / "state.json"
        self.state = StackState()
        self._fresh = fresh
        self._postgres = Postgres.in_folder(self.folder)
        self._azurite = Azurite.in_folder(self.folder)
        self._hosts: list[Host] = []
        self._lock: int | None = None
        self._leash: tuple[ProcessId, int] | None = None  # and the end of its pipe that we hold

    @classmethod
    def spare(cls, name: str, fresh: bool = False, most: int = 20) -> Self:
        """Return the first of `name`, `name-2`, `name-3`, ... that no other process owns; it is owned from here on."""
        for number in range(1, most + 1):
            stack = cls(name if number == 1 else f"{name}-{number}", fresh)
            if stack._take():
                return stack
        raise StackError(f"{most} stacks named {name} are in use. Stop one with ./dev down.")

    @property
    def postgres_dsn(self) -> str:
        """The libpq URI of the stack's database, as the application's role."""
        return self.state.postgres_dsn

    @property
    def storage_connection_string(self) -> str:
        """Connection string of blobs and queues."""
        return self.state.storage_connection_string

    def environment(self) -> dict[str, str]:
        """Return the variables that the application needs to use this stack."""
        return {
            POSTGRES_DSN_VARIABLE: self.postgres_dsn,
            STORAGE_VARIABLE: self.storage_connection_string,
            "FUNCTIONS_WORKER_RUNTIME": "python",
        }

    def start(self) -> Self:
        """Start both servers, side by side. Servers left over by an owner that was killed are ended first."""
        if not self._take():
            raise StackError(
                f"The stack '{self.name}' is already running. Use it with ./dev env, or stop it with ./dev down."
            )
        stop_all(StackState.read(self.state_file))
        for log in self.log_folder.glob("*.log"):
            log.unlink()
        owner = ProcessId.of(os.getpid())
        if owner is not None:
            self.state.processes["owner"] = owner
        self._write()
        reading, writing = os.pipe()
        command = [sys.executable, "-m", "local.leash", str(reading), str(self.state_file)]
        process = spawn(command, self.log_folder / "leash.log", cwd=PROJECT, pass_fds=(reading,))
        os.close(reading)
        self._leash = process, writing
        try:
            self._start_servers()
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Stop what this stack started, hosts first."""
        for host in list(self._hosts):
            host.stop()
        stop_all(self.state)
        self.state = StackState()
        self.state_file.unlink(missing_ok=True)
        if self._leash is not None:
            process, descriptor = self._leash
            os.close(descriptor)
            wait_until_ended(process, 5.0)
            reap()
        if self._lock is not None:
            os.close(self._lock)
        self._leash = self._lock = None

    def migrate(self) -> None:
        """Run `python -m repositories.migrate` on the stack's database; StackError with its output when it fails."""
        environment = {**os.environ, **self.environment()}
        command = [sys.executable, "-m", "repositories.migrate"]
        done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
        (self.log_folder / "migrate.log").write_text(done.stdout + done.stderr)
        if done.returncode:
            raise StackError(f"The migration failed:\n{(done.stdout + done.stderr).strip()}")

    def start_host(
        self,
        workers: int = 2,
        env: dict[str, str] | None = None,
        project: Path = PROJECT,
        port: int | None = None,
        auth: bool = False,
    ) -> Host:
        """Start a local Functions host on this stack and wait until all of its workers serve.

        `env` is added to (and wins over) the stack's environment; `project` is a folder with function_app.py and
        host.json; `port` None means the first free one from 7071 up.
        """
        number = 1 + max((host.number for host in self._hosts), default=0)
        options = HostOptions(workers, {**self.environment(), **(env or {})}, project, port, auth)
        host = Host(number, self.folder, options, on_stop=self._forget_host)
        try:
            self.state.processes[host.name] = host.launch()
            self._write()
            host.wait()
        except BaseException:
            host.stop()
            raise
        self._hosts.append(host)
        self._name_first_host()
        self._write()
        return host

    def stop_postgres(self, immediate: bool = False) -> None:
        """Stop PostgreSQL alone; `immediate` is a crash."""
        self._postgres.stop(self.state.processes["postgres"], immediate)

    def start_postgres(self) -> None:
        """Start PostgreSQL again, on the port that it had."""
        port = self.state.ports["postgres"]
        self.state.processes["postgres"] = process = self._postgres.launch(port)
        self._write()
        self._postgres.wait(port, process)

    def restart_postgres(self, immediate: bool = False) -> None:
        """Stop and start PostgreSQL; every connection is lost."""
        self.stop_postgres(immediate)
        self.start_postgres()

    def stop_azurite(self) -> None:
        """Stop Azurite alone; blobs and queues stay on disk."""
        self._azurite.stop(self.state.processes["azurite"])

    def start_azurite(self) -> None:
        """Start Azurite again, on the ports that it had."""
        self.state.processes["azurite"] = process = self._azurite.launch(self.state.ports)
        self._write()
        self._azurite.wait(self.state.ports, process)

    def restart_azurite(self) -> None:
        """Stop and start Azurite."""
        self.stop_azurite()
        self.start_azurite()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _start_servers(self) -> None:
        if self._fresh:
            self._azurite.clear()
        self._postgres.prepare()
        with (LOCAL / "ports.lock").open("w") as lock:
            # No other stack chooses ports until the servers of this one listen on theirs.
            fcntl.flock(lock, fcntl.LOCK_EX)
            # A test stops servers and needs their ports again: they lie where no other stack looks for a free one.
            aside = random.randrange(0, 20_000, 10) if self._fresh else 0  # noqa: S311 - no secret
            ports = dict(zip(SERVICES, free_ports(FIRST_AZURITE_PORT + aside, len(SERVICES)), strict=True))
            self.state.ports = {"postgres": free_ports(FIRST_POSTGRES_PORT + aside)[0], **ports}
            self.state.processes["postgres"] = postgres = self._postgres.launch(self.state.ports["postgres"])
            self.state.processes["azurite"] = azurite = self._azurite.launch(self.state.ports)
            self._write()
            self._postgres.wait(self.state.ports["postgres"], postgres)
            self._azurite.wait(self.state.ports, azurite)
        self._postgres.make_database(self.state.ports["postgres"], self._fresh)
        self.state.postgres_dsn = self._postgres.dsn(self.state.ports["postgres"])
        self.state.storage_connection_string = connection_string(self.state.ports)
        self._write()

    def _take(self) -> bool:
        """Own the stack: a lock on a file that the system releases when this process ends."""
        if self._lock is not None:
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        self._lock = descriptor
        return True

    def _forget_host(self, host: Host) -> None:
        self._hosts = [other for other in self._hosts if other is not host]
        self.state.processes.pop(host.name, None)
        self._name_first_host()
        self._write()

    def _name_first_host(self) -> None:
        first = self._hosts[0] if self._hosts else None
        self.state.api = first.url if first else ""
        self.state.key = first.key if first and first.options.auth else ""

    def _write(self) -> None:
        self.state.write(self.state_file)
