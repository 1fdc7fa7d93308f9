"""Files that are refused, and what holds for every refusal."""

from __future__ import annotations

import pytest

from schema.errors import PermanentError
from tests.fixtures.vector import boxes, gpkg
from tests.integration.vector.loading import Loader

VRT = b"""<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer>
</OGRVRTDataSource>"""


def fails(loader: Loader, name: str, data: bytes, code: str, *words: str) -> None:
    """The job fails with this code and these words; the table that is there stays, and nothing is left behind."""
    loader.put("good.gpkg", gpkg(boxes(3), loader.folder))
    loader.load("good.gpkg", target_table="kept")
    loader.put(name, data)
    with pytest.raises(PermanentError) as caught:
        loader.load(name, target_table="kept")
    assert caught.value.error_code == code, caught.value.message
    assert caught.value.remediation
    for word in words:
        assert word in caught.value.message
    assert "/tmp" not in caught.value.message  # noqa: S108 - no path of the instance in an answer
    assert loader.value("SELECT count(*) FROM geo.kept") == 3
    assert loader.work_tables() == []
    assert not loader.blobs.containers.get("geostage-work")
