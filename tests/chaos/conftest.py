"""A stack of its own, whose servers and workers are stopped under running jobs."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.hosts import Host, read_status
from local.stack import Stack
from repositories.migrate import migrate
from repositories.postgres import Database
from schema.settings import Settings
from tests.chaos.deployment import Deployment
from tests.fixtures.databases import add_effects, new_database

APP = Path(__file__).parent / "app"
QUICK = {
    "GEOSTAGE_LEASE_SECONDS": "2",
    "GEOSTAGE_HEARTBEAT_SECONDS": "0.5",
    "GEOSTAGE_SWEEP_RESEND_SECONDS": "2",
    "GEOSTAGE_RETRY_BASE_SECONDS": "0.2",
}


@pytest.fixture(scope="session")
def own_stack(stack: Stack) -> Iterator[Stack]:
    """A second stack; the first one tells whether this machine has the servers at all."""
    del stack
    with Stack.spare("chaos", fresh=True) as started:
        started.migrate()
        add_effects(started.postgres_dsn)
        yield started


@pytest.fixture(scope="session")
def own_host(own_stack: Stack) -> Host:
    """Two workers that notice the death of another within seconds."""
    return own_stack.start_host(workers=2, env=QUICK, project=APP)


@pytest.fixture
def deployment(own_stack: Stack, own_host: Host) -> Iterator[Deployment]:
    """The running host, and a sweep that does not wait for its timer."""
    deployed = Deployment(own_stack, own_host, QUICK)
    deployed.wait(lambda: read_status(own_host.status_file).get("ready"))
    yield deployed
    deployed.close()


@pytest.fixture
def storm_settings(stack: Stack) -> Settings:
    """Everything that waits waits for fractions of a second."""
    return Settings(
        postgres_dsn=new_database(stack, "storm", migrate, add_effects),
        storage_connection_string=stack.storage_connection_string,
        retry_base_seconds=0.02,
        lease_seconds=0.6,
        heartbeat_seconds=0.15,
        sweep_resend_seconds=0.4,
        task_deadline_seconds=20,
    )


@pytest.fixture
def storm_pool(storm_settings: Settings) -> Iterator[Database]:
    """The connections of all workers of the storm."""
    database = Database(storm_settings.postgres_dsn.get_secret_value())
    yield database
    database.close()
