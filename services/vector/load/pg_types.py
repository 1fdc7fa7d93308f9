"""Column types: which PostgreSQL type an Arrow column becomes, and its values in the form that COPY takes.

A value that PostgreSQL cannot hold becomes NULL and is counted; it never becomes another value.
"""

from __future__ import annotations

import base64
import json
import math
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from schema.jsonb import has_nul, is_too_deep

BOOLEAN, SMALLINT, INTEGER, BIGINT = "boolean", "smallint", "integer", "bigint"
REAL, DOUBLE, NUMERIC = "real", "double precision", "numeric"
TEXT, BYTEA, JSONB = "text", "bytea", "jsonb"
DATE, TIME, TIMESTAMP, TIMESTAMPTZ = "date", "time", "timestamp", "timestamptz"

TEXTS = frozenset((TEXT, "character varying"))
"""Types of tables that take any text."""

_CARRIERS = {
    BOOLEAN: pa.bool_(), SMALLINT: pa.int16(), INTEGER: pa.int32(), BIGINT: pa.int64(), REAL: pa.float32(),
    DOUBLE: pa.float64(), TEXT: pa.string(), BYTEA: pa.binary(), JSONB: pa.string(), DATE: pa.date32(),
    TIME: pa.time64("us"), TIMESTAMP: pa.timestamp("us"), TIMESTAMPTZ: pa.timestamp("us"),
}  # fmt: skip
"""Arrow types whose binary form pgpq writes as PostgreSQL reads it."""

_INTEGERS = {8: SMALLINT, 16: SMALLINT, 32: INTEGER, 64: BIGINT}

_PG_TYPES = (
    (pa.types.is_nested, JSONB),
    (pa.types.is_boolean, BOOLEAN),
    (pa.types.is_float64, DOUBLE),
    (pa.types.is_floating, REAL),
    (pa.types.is_decimal, NUMERIC),
    (pa.types.is_date, DATE),
    (pa.types.is_time, TIME),
    # Durations: their number, in the unit of the file.
    (pa.types.is_temporal, BIGINT),
    (pa.types.is_binary, BYTEA),
    (pa.types.is_large_binary, BYTEA),
    (pa.types.is_fixed_size_binary, BYTEA),
)

_FIRST_DATE, _LAST_DATE = -2_440_588, 2_145_031_948
"""4713-11-24 BC and 5874897-12-31, in days since 1970: PostgreSQL's range of dates (documentation, table 8.9)."""
_FIRST_SECOND, _LAST_SECOND = _FIRST_DATE * 86_400, 9_223_372_036_854 - 1
"""Seconds since 1970: from PostgreSQL's first timestamp to the last that fits an Arrow timestamp in microseconds."""
_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


def pg_type_of(kind: pa.DataType) -> str:
    """Choose the PostgreSQL type of an Arrow column."""
    if isinstance(kind, pa.BaseExtensionType):
        return JSONB if kind.extension_name == "arrow.json" else pg_type_of(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return pg_type_of(kind.value_type)
    if pa.types.is_integer(kind):
        # An unsigned integer needs the next larger type; there is none above bigint, where too large becomes NULL.
        return _INTEGERS[kind.bit_width if pa.types.is_signed_integer(kind) else min(64, kind.bit_width * 2)]
    if pa.types.is_timestamp(kind):
        return TIMESTAMPTZ if kind.tz else TIMESTAMP
    return next((pg_type for is_of, pg_type in _PG_TYPES if is_of(kind)), TEXT)


def carrier_of(pg_type: str) -> pa.DataType:
    """Return the Arrow type in which values of a PostgreSQL type are sent to COPY."""
    return _CARRIERS.get(pg_type, pa.string())


def to_carrier(values: pa.Array, pg_type: str) -> tuple[pa.Array, int]:
    """Return a column's values fit for COPY, and the number of values that had to become NULL."""
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    fit = _fit(values, pg_type)
    return fit, fit.null_count - values.null_count


def _fit(values: pa.Array, pg_type: str) -> pa.Array:
    carrier = carrier_of(pg_type)
    if pg_type == JSONB:
        if pa.types.is_nested(values.type):
            return pa.array([None if value is None else to_json(value) for value in values.to_pylist()], carrier)
        return pa.array([_valid_json(value) for value in readable(values.cast(carrier)).to_pylist()], carrier)
    if pg_type == NUMERIC:
        return values
    if pg_type == TEXT:
        return _fit_text(values.cast(carrier) if values.type != carrier else values)
    if pg_type == DATE:
        dates = values.cast(carrier)
        kept = _between(dates.view(pa.int32()), _FIRST_DATE, _LAST_DATE)
        return pc.if_else(kept, dates, pa.scalar(None, carrier))
    if pa.types.is_timestamp(carrier):
        return _fit_timestamp(values)
    if pa.types.is_integer(carrier) and pa.types.is_integer(values.type) and values.type != carrier:
        return _fit_integer(values, carrier)
    return values if values.type == carrier else values.cast(carrier)


def _fit_integer(values: pa.Array, carrier: pa.DataType) -> pa.Array:
    if values.type == pa.uint64():
        largest = pa.scalar(2**63 - 1, pa.uint64())
        values = pc.if_else(pc.less_equal(values, largest), values, pa.scalar(None, values.type))
    return values.cast(carrier)


def _fit_timestamp(values: pa.Array) -> pa.Array:
    per_second = _PER_SECOND[values.type.unit]
    ticks = values.view(pa.int64())
    low, high = max(-(2**63), _FIRST_SECOND * per_second), min(2**63 - 1, _LAST_SECOND * per_second)
    kept = _between(ticks, low, high)
    plain = ticks.view(pa.timestamp(values.type.unit))
    # Nanoseconds are cut to what PostgreSQL can hold.
    return pc.if_else(kept, plain, pa.scalar(None, plain.type)).cast(pa.timestamp("us"), safe=False)


def _between(numbers: pa.Array, low: int, high: int) -> pa.Array:
    kind = numbers.type
    above = pc.greater_equal(numbers, pa.scalar(low, kind))
    return pc.and_(above, pc.less_equal(numbers, pa.scalar(high, kind)))


def _fit_text(values: pa.Array) -> pa.Array:
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        values = pa.array([_decode(value) for value in values.view(pa.binary()).to_pylist()], pa.string())
    data = values.buffers()[2]
    # PostgreSQL's text cannot hold the character NUL. Searching the whole buffer first spares a test of each value.
    if data is not None and b"\x00" in memoryview(data).tobytes():
        values = pc.if_else(pc.match_substring(values, "\x00"), pa.scalar(None, pa.string()), values)
    return values


def readable(values: pa.Array) -> pa.Array:
    """Return text that Python can read, for a row that is shown as it is: bytes that are not UTF-8 become U+FFFD."""
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    plain = values.cast(pa.string()).view(pa.binary()).to_pylist()
    return pa.array([None if value is None else value.decode(errors="replace") for value in plain], pa.string())


def _decode(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None


def _valid_json(text: str | None) -> str | None:
    """Return JSON text that PostgreSQL takes.

    Plain text, and JSON that is nested too deeply, becomes a JSON string; NaN and NUL become NULL.
    """
    if text is None:
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return to_json(text)
    return to_json(text if is_too_deep(value) else value)


def to_json(value: Any) -> str | None:
    """Write a value as JSON for jsonb; None when it cannot hold it (infinite numbers, NUL, half a surrogate pair)."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, default=_plain_json)
        text.encode()
    except ValueError:
        return None
    return None if has_nul(text) else text


def raw_json(value: Any) -> str:
    """Write any value as JSON that jsonb takes: what it cannot hold (NaN, infinity, NUL) is written as text."""
    text = to_json(value)
    if text is None:
        text = json.dumps(_without_infinite(value), ensure_ascii=False, default=_plain_json)
    return text.replace("\\u0000", "\\ufffd").encode(errors="replace").decode()


def _without_infinite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_infinite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_infinite(inner) for inner in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _plain_json(value: object) -> object:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
