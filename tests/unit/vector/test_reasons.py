"""Every reason for which a row is rejected is explained to people."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.vector.geometry import reasons
from services.vector.load import batch

DOCUMENTED = (Path(__file__).parents[3] / "docs" / "vector.md").read_text()
REASONS = (
    reasons.NULL, reasons.EMPTY, reasons.UNREADABLE, reasons.NOT_FINITE, reasons.NOT_PROJECTABLE,
    reasons.TOO_LARGE, reasons.COLLAPSED, reasons.NOT_REPAIRABLE, reasons.OTHER_TYPE, reasons.UNSUPPORTED,
    reasons.MULTI, reasons.COORDINATES_UNREADABLE, reasons.OUT_OF_RANGE, reasons.RAGGED, reasons.ONE_POINT,
    batch.TOO_BIG,
)  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_in_the_documentation(reason: str) -> None:
    assert f"`{reason}`" in DOCUMENTED
