"""Column types: what PostgreSQL gets of an Arrow column, and what becomes NULL."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.load import pg_types


@pytest.mark.parametrize(
    ("kind", "pg_type"),
    [
        (pa.bool_(), "boolean"),
        (pa.int8(), "smallint"),
        (pa.uint8(), "smallint"),
        (pa.uint16(), "integer"),
        (pa.int32(), "integer"),
        (pa.uint32(), "bigint"),
        (pa.uint64(), "bigint"),
        (pa.float32(), "real"),
        (pa.float64(), "double precision"),
        (pa.decimal128(10, 2), "numeric"),
        (pa.string(), "text"),
        (pa.large_string(), "text"),
        (pa.binary(), "bytea"),
        (pa.date32(), "date"),
        (pa.time32("ms"), "time"),
        (pa.timestamp("ms"), "timestamp"),
        (pa.timestamp("ms", "UTC"), "timestamptz"),
        (pa.list_(pa.int32()), "jsonb"),
        (pa.struct([("a", pa.int32())]), "jsonb"),
        (pa.dictionary(pa.int8(), pa.string()), "text"),
        (pa.json_(), "jsonb"),
        (pa.null(), "text"),
    ],
)
def test_every_arrow_type_has_its_postgresql_type(kind: pa.DataType, pg_type: str) -> None:
    assert pg_types.pg_type_of(kind) == pg_type


@pytest.mark.parametrize(
    ("values", "pg_type", "kept", "nulled"),
    [
        (pa.array([2**63 - 1, 2**63, None], pa.uint64()), "bigint", [2**63 - 1, None, None], 1),
        (pa.array(["a", "a\x00b", None]), "text", ["a", None, None], 1),
        (pa.array(['{"a": 1}', "NaN", "plain", '"\\u0000"']).cast(pa.string()), "jsonb",
         ['{"a": 1}', None, '"plain"', None], 2),
        (pa.array([f'{"[" * n}{"]" * n}' for n in (500, 501, 99_999)]), "jsonb",
         ["[" * 500 + "]" * 500, f'"{"[" * 501}{"]" * 501}"', f'"{"[" * 99_999}{"]" * 99_999}"'], 0),
        (pa.array([[1, None], None], pa.list_(pa.int32())), "jsonb", ["[1, null]", None], 0),
        (pa.array([-(2**31), 0, 2**31 - 1], pa.int32()).view(pa.date32()), "date", [None, "1970-01-01", None], 2),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_held_becomes_null_and_is_counted(
    values: pa.Array, pg_type: str, kept: list[Any], nulled: int
) -> None:
    fit, lost = pg_types.to_carrier(values, pg_type)
    found = [None if value is None else str(value) if pg_type == "date" else value for value in fit.to_pylist()]
    assert (found, lost) == (kept, nulled)
    assert fit.type == pg_types.carrier_of(pg_type)


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_timestamps_out_of_range_become_null(unit: str) -> None:
    values = pa.array([-(2**63), 0, 2**63 - 1], pa.int64()).view(pa.timestamp(unit))
    fit, lost = pg_types.to_carrier(values, "timestamp")
    assert fit.cast(pa.int64())[1].as_py() == 0
    assert lost == (0 if unit == "ns" else 2)


def test_text_that_is_no_utf8_becomes_null() -> None:
    broken = pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xff"]).buffers())
    fit, lost = pg_types.to_carrier(broken, "text")
    assert (fit.to_pylist(), lost) == (["ok", None], 1)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(anything)
def test_any_rejected_row_can_be_written_as_jsonb(value: Any) -> None:
    text = pg_types.raw_json({"properties": value})
    json.loads(text, parse_constant=pytest.fail)
    assert "\\u0000" not in text.replace("\\\\", "")
