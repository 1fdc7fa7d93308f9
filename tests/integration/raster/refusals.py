"""Jobs that are refused, and what holds for every refusal."""

from __future__ import annotations

import pytest

from schema.errors import GeostageError, PermanentError
from tests.integration.raster.world import World


def refused(world: World, job_type: str, name: str, code: str, kind: type[GeostageError] = PermanentError) -> str:
    """The job fails with this code, says what to do, and publishes nothing."""
    with pytest.raises(kind) as raised:
        world.run(job_type, name)
    assert raised.value.error_code == code
    assert raised.value.remediation
    assert str(world.folder) not in raised.value.message
    assert "/tmp" not in raised.value.message  # noqa: S108
    assert world.published() == []
    return raised.value.message
