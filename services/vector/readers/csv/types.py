"""Types of columns of text, judged on every value: a type is a column's only if all of its values can be read as it.

Pure. What a type reads is decided by `convert`, for the judgement and for the load alike, so a value that was judged
to be a number cannot fail to be one later.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["integer", "bigint", "double", "decimal_comma", "boolean", "date", "timestamp", "timestamptz", "text"]

KINDS: tuple[Kind, ...] = (
    "integer", "bigint", "double", "decimal_comma", "boolean", "date", "timestamp", "timestamptz",
)  # fmt: skip
"""From the narrowest to the widest; text, which reads everything, comes after them."""

ARROW_TYPES = {
    "integer": pa.int32(), "bigint": pa.int64(), "double": pa.float64(), "decimal_comma": pa.float64(),
    "boolean": pa.bool_(), "date": pa.date32(), "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"), "text": pa.string(),
}  # fmt: skip

_PLAIN: tuple[Kind, ...] = ("integer", "double", "boolean", "date", "timestamp", "timestamptz")
"""Types whose values are first read as they stand: most files have no blanks around them, and no words for no value."""
_FEW = 20
_MISSING = pa.array(["", "NA", "N/A", "NaN", "nan", "NULL", "null"])
"""Words for no value; in a column of text they are text."""

_CODE = r"^[-+]?0[0-9xX]"
"""Leading zeros."""
_LONG_DIGITS = 16
_LONG = r"^[-+]?[0-9]{16,}$"
"""More digits than a double has, which bigint may hold."""
_WITH_COMMA = r"^[-+]?[0-9]+(,[0-9]+)?$"
_THOUSANDS = r"^[-+]?[0-9]{1,3},[0-9]{3}$|^[-+]?[0-9]+$"


class Judge:
    """What a column of text may be, after all that was seen of it.

    Each part of the column is judged by itself, by the first type that reads all of it; two parts together are what
    `_JOINED` says of their types.
    """

    def __init__(self, *, commas_part: bool = False) -> None:
        """With `commas_part` a comma parts the columns of the file: "1,234" may then be a thousand."""
        self._found: Kind | None = None
        self._long = False
        self._sure_of_comma = not commas_part

    def look(self, values: pa.Array) -> None:
        """Look at more values of the column."""
        # What read the parts before most likely reads this one too, as it stands: then nothing is to be found out.
        if self._found == "text" or values.null_count == len(values) or self._reads_on(values):
            return
        known = _known(values)
        if known.null_count == len(known):
            return
        kind = self._kind_of(known)
        self._found = _join(self._found, kind)
        if kind == "bigint" and not self._long:
            self._long = _any_long(known)
        if kind == "decimal_comma" and not self._sure_of_comma:
            self._sure_of_comma = pc.any(pc.invert(pc.match_substring_regex(known, _THOUSANDS))).as_py()

    def _reads_on(self, values: pa.Array) -> bool:
        return self._found is not None and _read_plain(values, self._found) is not None

    def _kind_of(self, known: pa.Array) -> Kind:
        # Joined with what read the parts before, a narrower type would be the same.
        if self._found and _reads(known, self._found):
            return self._found
        # pyarrow words an error for every value that it cannot read, so a few are tried first.
        few = known.slice(0, _FEW)
        return next((kind for kind in KINDS if _reads(few, kind) and _reads(known, kind)), "text")

    @property
    def kind(self) -> Kind:
        """Give the narrowest type that reads every value; text for a column without values."""
        if self._found == "decimal_comma" and not self._sure_of_comma:
            return "text"
        # As a floating-point number a long integer would become another one.
        if self._found in ("double", "decimal_comma") and self._long:
            return "text"
        return self._found or "text"


_JOINED: dict[frozenset[Kind], Kind] = {
    frozenset(("integer", "bigint")): "bigint",
    frozenset(("integer", "double")): "double",
    frozenset(("bigint", "double")): "double",
    frozenset(("integer", "decimal_comma")): "decimal_comma",
    frozenset(("bigint", "decimal_comma")): "decimal_comma",
    frozenset(("date", "timestamp")): "timestamp",
}


def _join(one: Kind | None, other: Kind) -> Kind:
    if one is None or one == other:
        return other
    return _JOINED.get(frozenset((one, other)), "text")


def convert(values: pa.Array, kind: Kind) -> pa.Array:
    """Read text as a type. Raises pyarrow.ArrowInvalid when a value cannot be."""
    if kind == "text":
        return values
    plain = _read_plain(values, kind)
    return _convert(_known(values), kind) if plain is None else plain


def _read_plain(values: pa.Array, kind: Kind) -> pa.Array | None:
    """Read values as they stand, if none has blanks around it or is a word for no value."""
    if kind not in _PLAIN or not _reads(values.slice(0, _FEW), kind):
        return None
    try:
        return _convert(values, kind)
    except pa.ArrowInvalid:
        return None


def _known(values: pa.Array) -> pa.Array:
    trimmed = pc.ascii_trim_whitespace(values)
    return pc.if_else(pc.is_in(trimmed, _MISSING), pa.scalar(None, pa.string()), trimmed)


def _reads(known: pa.Array, kind: Kind) -> bool:
    try:
        _convert(known, kind)
    except pa.ArrowInvalid:
        return False
    return True


def _convert(known: pa.Array, kind: Kind) -> pa.Array:
    if kind == "boolean":
        return _convert_booleans(known)
    if kind == "decimal_comma":
        _refuse_unless(pc.all(pc.match_substring_regex(known, _WITH_COMMA)).as_py() is not False)
        known = pc.replace_substring(known, ",", ".")
    read = known.cast(ARROW_TYPES[kind])
    if kind in ("integer", "bigint"):
        _refuse_unless(not _any_code(known))
    elif pa.types.is_floating(read.type):
        _refuse_unless(pc.all(pc.is_finite(read)).as_py() is not False)
        _refuse_unless(not (_any_code(known) or _any_long(known)))
    return read


def _any_code(known: pa.Array) -> bool:
    """Tell whether a number has leading zeros. Few begin with one at all, so the pattern is seldom needed."""
    zeros = (pc.any(pc.starts_with(known, sign + "0")).as_py() for sign in ("", "-", "+"))
    return any(zeros) and bool(pc.any(pc.match_substring_regex(known, _CODE)).as_py())


def _any_long(known: pa.Array) -> bool:
    """Tell whether a whole number has more digits than a double holds."""
    longest = pc.max(pc.binary_length(known)).as_py() or 0
    return longest >= _LONG_DIGITS and bool(pc.any(pc.match_substring_regex(known, _LONG)).as_py())


def _convert_booleans(known: pa.Array) -> pa.Array:
    words = pc.utf8_lower(known)
    true = pc.equal(words, "true")
    _refuse_unless(pc.all(pc.or_(true, pc.equal(words, "false"))).as_py() is not False)
    return true


def _refuse_unless(fits: bool) -> None:
    if not fits:
        raise pa.ArrowInvalid("a value is of another type")
