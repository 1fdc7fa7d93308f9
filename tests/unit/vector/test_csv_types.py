"""Types of columns of text, found by every value."""

from __future__ import annotations

from datetime import date, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.readers.csv.types import ARROW_TYPES, ColumnTyper, convert


def type_of(*parts: list[str | None], comma_delimited: bool = False) -> str:
    found = ColumnTyper(comma_delimited=comma_delimited)
    for part in parts:
        found.add(pa.array(part, pa.string()))
    return found.column_type


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1", "-20", None, ""], "integer"),
        (["1", " 2 "], "integer"),
        (["1", "3000000000"], "bigint"),
        (["1", "99999999999999999999"], "text"),
        (["1", "2.5"], "double"),
        (["1e5", ".5", "-7."], "double"),
        (["0.5", "0"], "double"),
        (["007", "12"], "text"),
        (["00.5", "1"], "text"),
        (["0x1F"], "text"),
        (["12345678901234567.5", "1"], "double"),
        (["1.5", "12345678901234567"], "text"),
        (["1,5", "2"], "decimal_comma"),
        (["1.234,5"], "text"),
        (["nan", "inf"], "text"),
        (["1.5", "NA", "N/A", "NaN"], "double"),
        (["NA", "DE"], "text"),
        (["1e999"], "text"),
        (["true", "FALSE"], "boolean"),
        (["yes", "no"], "text"),
        (["2020-01-31"], "date"),
        (["2020-02-31"], "text"),
        (["2020-01-31", "2020-01-31 10:00"], "timestamp"),
        (["2020-01-31T10:00:00Z", "2020-01-31T10:00:00+02:00"], "timestamptz"),
        (["1", "x"], "text"),
        ([None, ""], "text"),
    ],
)
def test_a_column_has_the_narrowest_type_that_reads_all_of_it(values: list[str | None], kind: str) -> None:
    assert type_of(values) == kind
    # One value of the last part decides.
    assert type_of(values[:1], values[1:]) == kind


def test_a_type_is_found_by_the_whole_file() -> None:
    assert type_of(["1"] * 1000, ["2"] * 1000, ["x"]) == "text"
    assert type_of(["1"] * 1000, ["2.5"]) == "double"


def test_a_comma_between_thousands_is_not_a_decimal_comma() -> None:
    assert type_of(["1,234", "12"], comma_delimited=True) == "text"
    assert type_of(["1,234", "12,5"], comma_delimited=True) == "decimal_comma"
    assert type_of(["1,234"]) == "decimal_comma"


def test_values_are_read_as_their_type() -> None:
    def read(kind: str, *values: str) -> list[object]:
        return list(convert(pa.array(values, pa.string()), kind).to_pylist())  # type: ignore[arg-type]

    assert read("integer", " 5", "NA", "") == [5, None, None]
    assert read("decimal_comma", "1,5", "-2") == [1.5, -2.0]
    assert read("boolean", "TRUE", "false") == [True, False]
    assert read("date", "2020-01-31") == [date(2020, 1, 31)]
    assert read("timestamp", "2020-01-31 10:00") == [datetime(2020, 1, 31, 10, 0)]  # noqa: DTZ001
    assert read("text", " NA", "") == [" NA", ""]


cells = st.one_of(
    st.none(),
    st.text(max_size=12),
    st.integers().map(str),
    st.floats().map(str),
    st.dates().map(str),
    st.sampled_from(["true", "NA", "0", "00", "1,5", "1.5", "2020-01-01T00:00Z"]),
)


@given(st.lists(st.lists(cells, max_size=6), max_size=4), st.booleans())
def test_a_column_can_be_read_as_the_type_that_was_found(parts: list[list[str | None]], comma_delimited: bool) -> None:
    kind = type_of(*parts, comma_delimited=comma_delimited)
    for part in parts:
        values = pa.array(part, pa.string())
        read = convert(values, kind)  # type: ignore[arg-type]
        assert read.type == ARROW_TYPES[kind]
        assert len(read) == len(part)
        for text, value in zip(part, read.to_pylist(), strict=True):
            if kind in ("integer", "bigint") and value is not None:
                assert str(value) == text.strip().replace("-0", "0")  # type: ignore[union-attr]
