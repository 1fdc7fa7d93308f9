"""Health: anybody may ask, so what it tells is told in docs/operations.md, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.http.health import Checks, Health
from tests.integration.protocol.world import World


def numbers(value: object, path: str = "") -> Iterator[str]:
    """Where numbers stand in an answer."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from numbers(part, f"{path}.{name}")
    elif isinstance(value, (int, float)):
        yield path


def test_health_tells_no_other_amounts_than_the_age_of_the_sweep_and_poisoned_messages(world: World) -> None:
    world.started(3)
    world.engine.sweep()
    world.engine.poisoned("geo-light-tasks", b"her PIN is 1234")
    checks = Checks(world.settings, world.database, world.queues, world.blobs)
    _, answer = Health(checks.by_name(), limit_seconds=10).look()
    assert sorted(numbers(answer)) == [".checks.poison.counts.geo-light-tasks", ".checks.sweep.age_seconds"]
    assert answer["checks"]["poison"]["status"] == "attention"
    assert "PIN" not in str(answer)
