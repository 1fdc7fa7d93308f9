"""Types of columns of text, found by every value."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

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
        ([".5", "-7.25"], "double"),
        (["1.5e-07", "2e-7", "1e+05", "1.0E7", "-3.25E+02"], "double"),
        (["12E4", "7E12"], "text"),
        (["1E5", "30E1"], "text"),
        (["4E-2"], "text"),
        (["+49", "+48"], "text"),
        (["+0.5", "-0.5"], "text"),
        (["7.", "8."], "text"),
        (["1.10", "1.2"], "text"),
        (["1.10", "1.20"], "double"),
        (["1.50", "2"], "text"),
        (["1.0", "2.25"], "double"),
        (["1.0", "2", "2.5"], "double"),
        (["-0", "1"], "double"),
        (["1e-400"], "text"),
        (["0.10000000000000001", "122.41941550000001"], "double"),
        (["122.419415500000014", "12.000000000000000"], "double"),
        (["0.33333333333333333333"], "text"),
        (["0.5", "0"], "double"),
        (["007", "12"], "text"),
        (["00.5", "1"], "text"),
        (["0x1F"], "text"),
        (["12345678901234567.5", "1"], "text"),
        (["1.5", "12345678901234567"], "text"),
        (["1,5", "2"], "decimal_comma"),
        (["1.234,5", "12", "1234,5", "-7.654.321,0"], "grouped_comma"),
        (["1.234", "5.678,5"], "grouped_comma"),
        (["1.2345", "5.678,5"], "text"),
        (["0.123", "5.678,5"], "text"),
        (["1.234,50", "12,5"], "grouped_comma"),
        (["1,10", "1,2"], "text"),
        (["1.234.567", "12"], "text"),
        (["1 234,5", "9,1"], "grouped_comma"),
        (["1\u202f234,5", "9,1"], "grouped_comma"),
        (["1'234.5", "9.1"], "grouped_point"),
        (["1,234.5", "9.1"], "grouped_point"),
        (["912 345 678"], "text"),
        (["nan", "inf"], "text"),
        (["1.5", "NA", "N/A", "NaN"], "double"),
        (["NA", "DE"], "text"),
        (["1e999"], "text"),
        (["true", "FALSE"], "boolean"),
        (["yes", "no"], "text"),
        (["2020-01-31"], "date"),
        (["2020-02-31"], "text"),
        (["31.12.2023", "1.2.2023", "", "NA"], "date_dmy"),
        (["31.02.2023"], "text"),
        (["31.12.23"], "text"),
        (["31/12/2023", "01/02/2023"], "date_dmy"),
        (["01/02/2023", "12/31/2023"], "date_mdy"),
        (["12/31/2023", "31/12/2023"], "text"),
        (["01/02/2023", "03/04/2023"], "text"),
        (["31-12-2023", "01-02-2023"], "date_dmy"),
        (["2023/12/31", "2024/1/1"], "date_ymd"),
        (["31.12.2023", "k. A."], "text"),
        (["31.12.2023 14:05", "1.1.2024 9:05:33"], "timestamp_dmy"),
        (["31.12.2023, 14:05", "1.1.2024"], "timestamp_dmy"),
        (["2023/12/31 14:05:00+00"], "timestamptz_ymd"),
        (["2020-01-31T10:00:00Z", "2020-01-31T10:00:00"], "text"),
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
    assert read("grouped_comma", "1.234.567,5", "-1 234,25", "12") == [1234567.5, -1234.25, 12.0]
    assert read("grouped_point", "1,234.5", "1'234.5") == [1234.5, 1234.5]
    assert read("date_dmy", "31.12.2023", "1.2.2024 ") == [date(2023, 12, 31), date(2024, 2, 1)]
    assert read("date_mdy", "12/31/2023") == [date(2023, 12, 31)]
    assert read("timestamp_dmy", "1.2.2024, 9:05", "NA") == [datetime(2024, 2, 1, 9, 5), None]  # noqa: DTZ001
    assert read("timestamptz_ymd", "2023/12/31 14:05:00+02") == [datetime(2023, 12, 31, 12, 5, tzinfo=UTC)]
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
        assert read.type == ARROW_TYPES[kind]  # type: ignore[index]
        assert len(read) == len(part)
        for text, value in zip(part, read.to_pylist(), strict=True):
            if kind in ("integer", "bigint") and value is not None:
                assert str(value) == text.strip().replace("-0", "0")  # type: ignore[union-attr]


def written(values: list[str], comma_delimited: bool = False) -> tuple[str, list[object]]:
    """Return the type that is found for a column, and its values as they are loaded."""
    kind = type_of(list(values), comma_delimited=comma_delimited)
    return kind, convert(pa.array(values, pa.string()), kind).to_pylist()  # type: ignore[arg-type]


doubles = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(doubles, min_size=1), st.sampled_from([repr, "{:.17g}".format, "{:.6e}".format]))
def test_doubles_as_programs_write_them_are_numbers_with_the_same_value(numbers: list[float], write: Any) -> None:
    texts = [write(number) for number in numbers]
    kind, read = written(texts)
    # Without a point or an exponent they are integers, which may be codes of many digits.
    if not any(text.lstrip("-").isdigit() for text in texts):
        assert (kind, read) == ("double", numbers if write != "{:.6e}".format else [float(text) for text in texts])


@given(st.lists(st.decimals(-(10**9), 10**9, places=3), min_size=1), st.sampled_from([".,", ",.", " ,", "'."]))
def test_numbers_of_every_country_come_back_where_the_whole_column_is_written_so(
    numbers: list[Decimal], signs: str
) -> None:
    group, decimal = signs[0], signs[1]
    numbers = [Decimal("1234567.250"), *numbers]
    texts = [f"{number:,.3f}".translate(str.maketrans(",.", signs)) for number in numbers]
    kind, read = written(texts, comma_delimited=group != ",")
    assert kind == ("grouped_point" if decimal == "." else "grouped_comma")
    assert read == [float(number) for number in numbers]


# Of decimals .0 alone, which programs write behind whole numbers, is left out.
codes = st.from_regex(r"-?[0-9]{1,4}(\.[0-9]{0,3}[1-9]|\.[0-9]{2,3}0)?", fullmatch=True)


@given(st.lists(codes, min_size=1, max_size=4), st.lists(codes, max_size=4))
def test_two_texts_never_become_one_number(first: list[str], second: list[str]) -> None:
    kind = type_of(list(first), list(second))
    texts = sorted({*first, *second})
    read = convert(pa.array(texts), kind).to_pylist()  # type: ignore[arg-type]
    assert len({repr(value) for value in read}) == len(texts)


@given(st.lists(st.dates(min_value=date(1000, 1, 1)), min_size=1), st.sampled_from([".", "/", "-"]), st.booleans())
def test_dates_of_every_country_are_dates_where_the_whole_column_says_so(
    days: list[date], separator: str, month_first: bool
) -> None:
    month_first &= separator != "."
    order = "{0:%m}{1}{0:%d}{1}{2:04}" if month_first else "{0:%d}{1}{0:%m}{1}{2:04}"
    kind, read = written([order.format(day, separator, day.year) for day in days])
    if separator == "." or any(day.day > 12 for day in days):
        assert (kind, read) == ("date_mdy" if month_first else "date_dmy", days)
    else:
        assert kind == "text"


offsets = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
times = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.one_of(st.none(), offsets))  # noqa: DTZ001


@given(st.lists(times, min_size=1))
def test_an_offset_is_never_lost(moments: list[datetime]) -> None:
    texts = [moment.isoformat() for moment in moments]
    kind, read = written(texts)
    if all(moment.tzinfo for moment in moments):
        assert (kind, read) == ("timestamptz", moments)
    else:
        assert (kind, read) in (("timestamp", moments), ("text", texts))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (["1", "12E4"], "row 2: '12E4' would become 120000"),
        (["00501", "02134"], "row 1: '00501' would become 501"),
        (["1.2", "1.10"], "row 2: '1.10' would become 1.1"),
        (["+49"], "row 1: '+49' would become 49"),
        (["1.234.567"], "row 1: '1.234.567' may have a decimal sign or thousands"),
        (["01/02/2023"], "row 1: '01/02/2023' may begin with the day or with the month"),
        (["1", "x"], None),
        (["1", "2"], None),
    ],
)
def test_why_numbers_stay_text_is_told(values: list[str], reason: str | None) -> None:
    found = ColumnTyper()
    for number, value in enumerate(values, 1):
        found.add(pa.array([value]), number)
    assert found.why_text == reason


def test_the_value_that_makes_a_type_is_known_with_its_row() -> None:
    found = ColumnTyper()
    found.add(pa.array(["1", None] * 5_000), 1)
    found.add(pa.array(["1"] * 4_000 + ["x"] + ["2"] * 3_000), 10_001)
    assert found.because == "row 14001: 'x'"
