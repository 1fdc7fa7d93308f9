"""The stack that tests run on: started by the first test that asks for it, one per process of pytest-xdist.

Without PostgreSQL or Azurite such tests are skipped on a laptop; under CI=true or ./dev test that is a failure.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from local.cli import REQUIRE_STACK
from local.errors import MissingServer
from local.hosts import Host
from local.stack import Stack
from services.gdal import NO_NETWORK
from services.raster.source import gdal as raster_gdal
from services.vector import gdal as vector_gdal

# Tests read files with GeoPandas and rasterio, too, which would start GDAL with every driver: ours come first.
assert vector_gdal.ALLOWED_DRIVERS
assert raster_gdal.ALLOWED_DRIVERS

# The first process of pytest-xdist hands its options of GDAL on to the others, where os.environ would carry them into
# every program that a test starts: a user's GDAL has a network.
for _name, _value in NO_NETWORK.items():
    os.environ.pop(_name, None)
    os.putenv(_name, _value)


LONGEST_ID = 100


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="more examples of every property, for as long as it takes")


def pytest_configure(config: pytest.Config) -> None:
    # A shell's background job ignores Ctrl-C, and so would every process that tests start and then interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # An example may take any time on a busy machine; pytest-timeout ends a test that hangs.
    base = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
    settings.register_profile("some", base, max_examples=25)
    settings.register_profile("all", base, max_examples=600)
    settings.load_profile("all" if config.getoption("--all") else "some")


def pytest_make_parametrize_id(val: object) -> str | None:
    # An id goes from process to process several times for every test, and there are parameters of 2 MB.
    if isinstance(val, str | bytes) and len(val) > LONGEST_ID:
        return f"{val[: LONGEST_ID // 2]!a} and so on, {len(val)} in all"
    return None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # pytest-xdist runs one of the tests that share a node id, and says nothing of the others.
    shared = [name for name, times in Counter(item.nodeid for item in items).items() if times > 1]
    if shared:
        raise pytest.UsageError(f"Tests share a node id: {', '.join(shared)}.")


def must_run() -> bool:
    """Whether a missing server is a failure: under CI=true and ./dev test, not on a laptop's bare pytest."""
    return os.environ.get("CI") == "true" or bool(os.environ.get(REQUIRE_STACK))


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """A fresh, migrated stack; this process's environment points at it, for code that reads its settings."""
    try:
        started = Stack.spare("test", fresh=True).start()
    except MissingServer as error:
        if must_run():
            raise
        pytest.skip(str(error))
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in started.environment().items():
                patch.setenv(name, value)
            started.migrate()
            yield started
    finally:
        started.stop()


@pytest.fixture(scope="session")
def host(stack: Stack) -> Host:
    """The real function_app.py in two worker processes; it ends with the stack."""
    return stack.start_host(workers=2)
