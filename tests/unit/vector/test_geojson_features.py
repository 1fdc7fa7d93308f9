"""The elements of a GeoJSON's features are found by brackets, quotes and commas, whatever stands in the texts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.vector.readers.geojson import features as geojson_features

VALUES = st.recursive(
    st.none() | st.integers() | st.text('ab"\\\\,[]{}: é', max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('a"\\\\,]', max_size=3), inner, max_size=3),
    max_leaves=8,
)
CHECKS = (HealthCheck.function_scoped_fixture,)


@given(
    features=st.lists(VALUES, min_size=1, max_size=6),
    others=st.dictionaries(st.text("abc[", min_size=1, max_size=3), VALUES, max_size=3),
    block=st.integers(1, 40),
    indent=st.sampled_from([None, 1]),
    escaped=st.booleans(),
)
@settings(suppress_health_check=CHECKS, deadline=None)
def test_every_element_is_found(
    tmp_path: Path, features: list[Any], others: dict[str, Any], block: int, indent: int | None, escaped: bool
) -> None:
    path = tmp_path / "a.geojson"
    data = json.dumps({**others, "features": features, "z": others}, indent=indent, ensure_ascii=escaped).encode()
    path.write_bytes(data)
    places = geojson_features.find_features(path, lambda: None, block)
    assert [json.loads(data[start:end]) for start, end in places] == features


@pytest.mark.parametrize("data", [b'{"type": "Feature"}', b"[]", b"", b'{"a": {"features": [1]}}', b'{"features": {}}'])
def test_where_there_are_no_features_there_are_no_elements(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert not list(geojson_features.find_features(tmp_path / "a", lambda: None))
