"""Archives that are refused before anything is unpacked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from schema.errors import PermanentError
from services.vector.source import archive
from tests.fixtures.vector import zipped


def test_a_zip_that_would_fill_the_disk(tmp_path: Path) -> None:
    # Noise does not shrink, so that it is the size alone which is refused.
    path, into = tmp_path / "a.zip", tmp_path / "layers"
    path.write_bytes(zipped({"a.shp": np.random.default_rng(1).bytes(1_000_001)}))
    into.mkdir()
    with pytest.raises(PermanentError, match=r"would unpack from \d+ to 1000001 bytes") as refused:
        archive.unpack(path, into, max_bytes=1_000_000)
    assert refused.value.error_code == "archive_refused"
    assert "up to 1000000 bytes" in refused.value.remediation
    assert list(into.iterdir()) == []
