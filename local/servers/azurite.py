"""Azurite, the storage emulator: blobs and queues on loopback ports, kept on disk so that a restart loses nothing."""

import http.client
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from local.errors import MissingServer, StackError
from local.paths import NODE_MODULES
from local.servers.ports import LOOPBACK
from local.servers.processes import ProcessId, spawn, stop

ACCOUNT = "devstoreaccount1"
# The emulator's published key, the same on every machine: no secret.
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
SERVICES = ("blob", "queue", "table")  # `azurite` always starts all three


@dataclass(frozen=True)
class Azurite:
    """One emulator with its folder on disk."""

    folder: Path
    log: Path

    @classmethod
    def in_folder(cls, folder: Path) -> "Azurite":
        """Return the emulator of the stack in `folder`."""
        return cls(folder / "azurite", folder / "log" / "azurite.log")

    def clear(self) -> None:
        """Forget every blob and message; only while the emulator is stopped."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def launch(self, ports: dict[str, int]) -> ProcessId:
        """Start the emulator without waiting for it; `ports` by service."""
        script = NODE_MODULES / "azurite" / "dist" / "src" / "azurite.js"
        if not script.exists() or shutil.which("node") is None:
            raise MissingServer("Azurite is not installed. Run ./dev, which installs it.")
        self.folder.mkdir(parents=True, exist_ok=True)
        listen = [word for name in SERVICES for word in (f"--{name}Host", LOOPBACK, f"--{name}Port", str(ports[name]))]
        quiet = ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        command = ["node", str(script), "--location", str(self.folder), *listen, *quiet]
        return spawn(command, self.log)

    def wait(self, ports: dict[str, int], process: ProcessId, seconds: float = 60.0) -> None:
        """Wait until blobs and queues are answered, with whatever HTTP status. Raises StackError."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.alive():
            if all(_answers(ports[name]) for name in ("blob", "queue")):
                return
            time.sleep(0.05)
        raise StackError(f"Azurite does not answer on ports {sorted(ports.values())}. Its log is {self.log}.")

    def stop(self, process: ProcessId) -> None:
        """Stop the emulator; it writes its state to disk."""
        stop(process)


def connection_string(ports: dict[str, int]) -> str:
    """Return the connection string of blobs and queues on these ports."""
    endpoints = [
        f"{name.capitalize()}Endpoint=http://{LOOPBACK}:{ports[name]}/{ACCOUNT};" for name in ("blob", "queue")
    ]
    return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};" + "".join(endpoints)


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=2)
    try:
        connection.request("GET", "/")
        connection.getresponse()
    except OSError:
        return False
    finally:
        connection.close()
    return True
