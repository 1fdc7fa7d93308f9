"""Servers that read what jobs wrote, in an environment of their own: a STAC API, and features and tiles of tables."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from urllib.parse import unquote, urlsplit

import httpx

from local.errors import MissingServer, StackError
from local.paths import LOCAL, PROJECT
from local.servers.ports import LOOPBACK, free_ports
from local.servers.processes import spawn, stop
from local.stack import Stack

PYTHON = LOCAL / "venv-stac" / "bin" / "python"
FIRST_PORT = 8081


def stac_api(stack: Stack) -> contextlib.AbstractContextManager[str]:
    """Serve the catalogue with stac-fastapi-pgstac; see `served`."""
    parts = urlsplit(stack.postgres_dsn)
    settings = {
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGHOST": parts.hostname or LOOPBACK,
        "PGPORT": str(parts.port),
        "PGDATABASE": parts.path.lstrip("/"),
    }
    return served(stack, "stac-api", ("--factory", "stac_fastapi.pgstac.app:create_app"), settings)


def feature_api(stack: Stack) -> contextlib.AbstractContextManager[str]:
    """Serve the tables of schema geo with tipg, which looks for them when it starts; see `served`."""
    settings = {"DATABASE_URL": stack.postgres_dsn, "TIPG_DB_SCHEMAS": '["geo"]'}
    return served(stack, "feature-api", ("tipg.main:app",), settings)


@contextlib.contextmanager
def served(
    stack: Stack, name: str, application: Sequence[str], settings: Mapping[str, str], seconds: float = 60.0
) -> Iterator[str]:
    """Serve an application for the block, and yield the URL of its landing page.

    Raises
    ------
    MissingServer
        The environment is not there; ./dev test makes it.
    StackError
        It does not answer.
    """
    if not PYTHON.exists():
        raise MissingServer(f"The {name} is not installed. Run ./dev test, which installs it.")
    port = free_ports(FIRST_PORT)[0]
    url, log = f"http://{LOOPBACK}:{port}", stack.log_folder / f"{name}.log"
    command = [str(PYTHON), "-m", "uvicorn", *application, "--host", LOOPBACK, "--port", str(port)]
    process = spawn(command, log, {**os.environ, **settings}, PROJECT)
    try:
        deadline = time.monotonic() + seconds
        while not _answers(url):
            if time.monotonic() > deadline or not process.alive():
                raise StackError(f"The {name} does not answer. Its log is {log}.")
            time.sleep(0.1)
        yield url
    finally:
        stop(process)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/", timeout=5).is_success
    except httpx.HTTPError:
        return False
