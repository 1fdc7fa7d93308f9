"""Jobs that are refused, and what holds for every refusal."""

from __future__ import annotations

from typing import Any

import pytest

from schema.errors import GeostageError, PermanentError
from tests.integration.raster.world import World


def refused(
    world: World, job_type: str, name: str, code: str, kind: type[GeostageError] = PermanentError, /, **parameters: Any
) -> GeostageError:
    """Return the error of a job that fails with this code: it says what to do, and all that was published stays."""
    before = everything(world)
    with pytest.raises(kind) as raised:
        world.run(job_type, name, **parameters)
    assert raised.value.error_code == code
    assert raised.value.remediation
    assert str(world.folder) not in raised.value.message
    assert "/tmp" not in raised.value.message  # noqa: S108 - no path of the instance in an answer
    assert everything(world) == before
    return raised.value


def everything(world: World) -> tuple[Any, Any]:
    """Return all outputs with their ETags, and all items of the catalogue."""
    items = world.sql("SELECT id, collection, content FROM pgstac.items ORDER BY collection, id")
    outputs = world.blobs.containers.get(world.settings.output_container, {})
    return {name: facts.etag for name, (_, facts) in outputs.items()}, items
