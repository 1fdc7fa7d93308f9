"""A STAC API over a stack's catalogue: stac-fastapi-pgstac, in the environment that its own pins ask for."""

import contextlib
import os
import time
from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

import httpx

from local.errors import MissingServer, StackError
from local.paths import LOCAL, PROJECT
from local.ports import LOOPBACK, free_ports
from local.processes import spawn, stop
from local.stack import Stack

PYTHON = LOCAL / "venv-stac" / "bin" / "python"
FIRST_PORT = 8081


@contextlib.contextmanager
def stac_api(stack: Stack, seconds: float = 60.0) -> Iterator[str]:
    """Serve the catalogue for the block, and give the URL of its landing page.

    Raises
    ------
    MissingServer
        The environment is not there; ./dev test makes it.
    StackError
        It does not answer.
    """
    if not PYTHON.exists():
        raise MissingServer("stac-fastapi-pgstac is not installed. Run ./dev test, which installs it.")
    port = free_ports(FIRST_PORT)[0]
    url, log = f"http://{LOOPBACK}:{port}", stack.log_folder / "stac-api.log"
    command = [str(PYTHON), "-m", "uvicorn", "--factory", "stac_fastapi.pgstac.app:create_app"]
    command += ["--host", LOOPBACK, "--port", str(port)]
    process = spawn(command, log, {**os.environ, **_database(stack.postgres_dsn)}, PROJECT)
    try:
        deadline = time.monotonic() + seconds
        while not _answers(url):
            if time.monotonic() > deadline or not process.alive():
                raise StackError(f"The STAC API does not answer: see {log}")
            time.sleep(0.1)
        yield url
    finally:
        stop(process)


def _database(dsn: str) -> dict[str, str]:
    parts = urlsplit(dsn)
    return {
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGHOST": parts.hostname or LOOPBACK,
        "PGPORT": str(parts.port),
        "PGDATABASE": parts.path.lstrip("/"),
    }


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/", timeout=5).is_success
    except httpx.HTTPError:
        return False
