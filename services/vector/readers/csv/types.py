"""Types of columns of text, chosen by every value: a type is a column's only if it reads all of them.

Pure. `convert` alone decides what a type reads, for the choice and for the load alike: a value that counted as a number
cannot fail to be one later. (GDAL's CSV driver guesses types from the first rows.)
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

ColumnType = Literal[
    "integer", "bigint", "double", "decimal_comma", "boolean", "date", "timestamp", "timestamptz", "text"
]

COLUMN_TYPES: tuple[ColumnType, ...] = (
    "integer", "bigint", "double", "decimal_comma", "boolean", "date", "timestamp", "timestamptz",
)  # fmt: skip
"""From the narrowest to the widest; text, which reads everything, comes after them."""

ARROW_TYPES = {
    "integer": pa.int32(), "bigint": pa.int64(), "double": pa.float64(), "decimal_comma": pa.float64(),
    "boolean": pa.bool_(), "date": pa.date32(), "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"), "text": pa.string(),
}  # fmt: skip

_JOINED: dict[frozenset[ColumnType], ColumnType] = {
    frozenset(("integer", "bigint")): "bigint",
    frozenset(("integer", "double")): "double",
    frozenset(("bigint", "double")): "double",
    frozenset(("integer", "decimal_comma")): "decimal_comma",
    frozenset(("bigint", "decimal_comma")): "decimal_comma",
    frozenset(("date", "timestamp")): "timestamp",
}
"""The type that reads what either of two reads; of pairs that are not here it is text."""

_UNTRIMMED: tuple[ColumnType, ...] = ("integer", "double", "boolean", "date", "timestamp", "timestamptz")
"""Types that are first tried on values as they stand: most files have no blanks around values, and no NULL words."""
_FEW = 20
_NULL_WORDS = pa.array(["", "NA", "N/A", "NaN", "nan", "NULL", "null"])
"""In a column of text they are text."""

# Leading zeros make a code, such as a postal one, and not a number: they would be lost.
_CODE = r"^[-+]?0[0-9xX]"
_LONG_DIGITS = 16
# More digits than a double has; bigint may hold them.
_LONG = r"^[-+]?[0-9]{16,}$"
_WITH_COMMA = r"^[-+]?[0-9]+(,[0-9]+)?$"
_THOUSANDS = r"^[-+]?[0-9]{1,3},[0-9]{3}$|^[-+]?[0-9]+$"


class ColumnTyper:
    """Finds the type of one column of text, batch by batch.

    Each batch has a type of its own, the first that reads all of it; `_JOINED` joins the types of two batches.
    """

    def __init__(self, *, comma_delimited: bool = False) -> None:
        """With `comma_delimited`, "1,234" alone is no decimal: it may be a thousand."""
        self._found: ColumnType | None = None
        self._has_long = False
        self._sure_of_comma = not comma_delimited

    def add(self, values: pa.Array) -> None:
        """Take a batch of the column, an array of strings, into account."""
        if self._found == "text" or values.null_count == len(values):
            return
        # The type of the batches before most likely reads this one too, as it stands. Then it remains the type.
        if self._found and _read_untrimmed(values, self._found) is not None:
            return
        trimmed = _trim(values)
        if trimmed.null_count == len(trimmed):
            return
        found: ColumnType
        if self._found and _reads(trimmed, self._found):
            # A narrower type would be joined with that of the batches before to the same.
            found = self._found
        else:
            # pyarrow writes an error text for each value that it cannot read, so a few values are tried first.
            few = trimmed.slice(0, _FEW)
            found = next((kind for kind in COLUMN_TYPES if _reads(few, kind) and _reads(trimmed, kind)), "text")
        if found == "bigint" and not self._has_long:
            self._has_long = _has_long(trimmed)
        if found == "decimal_comma" and not self._sure_of_comma:
            self._sure_of_comma = pc.any(pc.invert(pc.match_substring_regex(trimmed, _THOUSANDS))).as_py()
        if self._found not in (None, found):
            found = _JOINED.get(frozenset((self._found, found)), "text")
        self._found = found

    @property
    def column_type(self) -> ColumnType:
        """The narrowest type that reads every value; text for a column without values."""
        if self._found == "decimal_comma" and not self._sure_of_comma:
            return "text"
        # As a double a long integer would become another number.
        if self._found in ("double", "decimal_comma") and self._has_long:
            return "text"
        return self._found or "text"


def convert(values: pa.Array, kind: ColumnType) -> pa.Array:
    """Return strings as an array of ARROW_TYPES[kind]. Raises pyarrow.ArrowInvalid when a value cannot be read."""
    if kind == "text":
        return values
    read = _read_untrimmed(values, kind)
    return _convert(_trim(values), kind) if read is None else read


def _read_untrimmed(values: pa.Array, kind: ColumnType) -> pa.Array | None:
    if kind not in _UNTRIMMED or not _reads(values.slice(0, _FEW), kind):
        return None
    try:
        return _convert(values, kind)
    except pa.ArrowInvalid:
        return None


def _trim(values: pa.Array) -> pa.Array:
    trimmed = pc.ascii_trim_whitespace(values)
    return pc.if_else(pc.is_in(trimmed, _NULL_WORDS), pa.scalar(None, pa.string()), trimmed)


def _reads(trimmed: pa.Array, kind: ColumnType) -> bool:
    try:
        _convert(trimmed, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _convert(trimmed: pa.Array, kind: ColumnType) -> pa.Array:
    if kind == "boolean":
        # pyarrow's cast would take 0 and 1 for booleans, too.
        words = pc.utf8_lower(trimmed)
        true = pc.equal(words, "true")
        _require(pc.all(pc.or_(true, pc.equal(words, "false"))).as_py() is not False)
        return true
    if kind == "decimal_comma":
        _require(pc.all(pc.match_substring_regex(trimmed, _WITH_COMMA)).as_py() is not False)
        trimmed = pc.replace_substring(trimmed, ",", ".")
    read = trimmed.cast(ARROW_TYPES[kind])
    if kind in ("integer", "bigint"):
        _require(not _has_code(trimmed))
    elif pa.types.is_floating(read.type):
        # The cast reads "inf" and 1e999, which no source means.
        _require(pc.all(pc.is_finite(read)).as_py() is not False)
        _require(not (_has_code(trimmed) or _has_long(trimmed)))
    return read


def _has_code(trimmed: pa.Array) -> bool:
    # Few numbers begin with a zero at all, so the pattern is seldom needed.
    zeros = (pc.any(pc.starts_with(trimmed, sign + "0")).as_py() for sign in ("", "-", "+"))
    return any(zeros) and bool(pc.any(pc.match_substring_regex(trimmed, _CODE)).as_py())


def _has_long(trimmed: pa.Array) -> bool:
    """Whether a whole number has more digits than a double holds."""
    longest = pc.max(pc.binary_length(trimmed)).as_py() or 0
    return longest >= _LONG_DIGITS and bool(pc.any(pc.match_substring_regex(trimmed, _LONG)).as_py())


def _require(fits: bool) -> None:
    if not fits:
        raise pa.ArrowInvalid("a value is of another type")
