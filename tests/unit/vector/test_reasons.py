"""Every reason for which a row is rejected is explained to people."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.vector.geometry import reasons

DOCUMENTED = (Path(__file__).parents[3] / "docs" / "vector.md").read_text()


@pytest.mark.parametrize("reason", reasons.ALL[1:])
def test_every_reason_is_in_the_documentation(reason: str) -> None:
    assert f"`{reason}`" in DOCUMENTED


def test_every_reason_has_one_code_which_is_its_place() -> None:
    constants = {value for name, value in vars(reasons).items() if name.isupper() and isinstance(value, str)}
    assert reasons.ALL[0] == ""
    assert sorted(reasons.ALL[1:]) == sorted(constants)
