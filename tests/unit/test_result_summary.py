"""Excerpts of large results: small values and warnings stay, whatever else there is."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from controllers.engine.result_summary import MAX_VALUE_BYTES, MAX_VALUES_BYTES, MAX_WARNINGS_BYTES, summary_of
from schema.jobs import Json

PATH = "silver/_results/a.json"
WARNING: Json = {"code": "nodata_missing", "message": "It has none.", "count": 1}
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(alphabet="aä€", max_size=3000),
    lambda inner: st.lists(inner, max_size=20) | st.dictionaries(st.text(alphabet="ab", max_size=9), inner),
    max_leaves=40,
)


def size_of(value: object) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode())


def test_ids_counts_and_sums_stay_and_long_lists_go() -> None:
    result = {"plan_id": "a" * 32, "tile_count": 9000, "bounds": [0.0, 1.0], "tiles": ["r0c0"] * 9000, "crs": None}
    assert summary_of(result, PATH, 300_000) == {
        "plan_id": "a" * 32, "tile_count": 9000, "bounds": [0.0, 1.0], "crs": None, "result_path": PATH,
        "bytes": 300_000,
    }  # fmt: skip


def test_warnings_stay_as_they_are() -> None:
    assert summary_of({"warnings": [WARNING] * 3}, PATH, 1)["warnings"] == [WARNING] * 3


def test_of_too_many_warnings_the_first_stay_and_the_others_are_counted() -> None:
    kept = summary_of({"warnings": [WARNING] * 5_000}, PATH, 1)["warnings"]
    assert kept[:-1] == [WARNING] * (len(kept) - 1)
    assert len(kept) > 100
    assert (kept[-1]["code"], kept[-1]["count"]) == ("more_warnings", 5_000 - (len(kept) - 1))


def test_a_path_of_the_result_s_own_does_not_hide_the_blob() -> None:
    kept = summary_of({"result_path": "silver/other", "bytes": 5}, PATH, 300_000)
    assert kept == {"result_path": PATH, "bytes": 300_000}


@given(st.dictionaries(st.text(alphabet="abc", max_size=9), values, max_size=60), st.lists(values))
def test_an_excerpt_is_small_and_says_nothing_else_than_the_result(result: Json, warnings: list[object]) -> None:
    kept = summary_of({**result, "warnings": warnings}, PATH, 300_000)
    own = {name: value for name, value in kept.items() if name not in ("warnings", "result_path", "bytes")}
    assert all(result[name] == value and size_of({name: value}) <= MAX_VALUE_BYTES for name, value in own.items())
    assert size_of(kept) <= MAX_VALUES_BYTES + MAX_WARNINGS_BYTES + 5_000
