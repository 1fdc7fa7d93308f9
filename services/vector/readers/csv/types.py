"""Types of columns of text, chosen by every value: a type is a column's only if each value comes back as it is written.

Pure. `_reads` alone decides what a type reads; `convert` reads values of a column whose type was chosen by all of them.
(GDAL's CSV driver guesses types from the first rows, and makes 120000 of 12E4 and 501 of 00501.)
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from itertools import combinations
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from schema.clipping import clip
from schema.jobs import Json
from services.vector.readers.csv import notation
from services.vector.readers.csv.notation import NumberStyle

ColumnType = Literal[
    "integer", "bigint", "double", "decimal_comma", "grouped_comma", "grouped_point", "boolean",
    "date", "date_ymd", "date_either", "date_dmy", "date_mdy",
    "timestamp", "timestamp_ymd", "timestamp_either", "timestamp_dmy", "timestamp_mdy",
    "timestamptz", "timestamptz_ymd", "text",
]  # fmt: skip

COLUMN_TYPES: tuple[ColumnType, ...] = (
    "integer", "bigint", "double", "decimal_comma", "grouped_comma", "grouped_point", "boolean",
    "date", "date_ymd", "date_either", "date_dmy", "date_mdy",
    "timestamp", "timestamp_ymd", "timestamp_either", "timestamp_dmy", "timestamp_mdy",
    "timestamptz", "timestamptz_ymd",
)  # fmt: skip
"""From the narrowest to the widest; text, which reads everything, comes after them.

decimal_comma is 1234,5; grouped_comma 1.234,5 or 1 234,5; grouped_point 1,234.5 or 1'234.5. Of dates, ymd is
2023/12/31, dmy 31.12.2023 or 31/12/2023, mdy 12/31/2023; either could be both, while no value has a day above 12.
"""

_ARROW_OF_BASE = {
    "integer": pa.int32(), "bigint": pa.int64(), "double": pa.float64(), "boolean": pa.bool_(), "date": pa.date32(),
    "timestamp": pa.timestamp("us"), "timestamptz": pa.timestamp("us", "UTC"), "text": pa.string(),
}  # fmt: skip
COMMA: frozenset[ColumnType] = frozenset(("decimal_comma", "grouped_comma"))
GROUPED: frozenset[ColumnType] = frozenset(("grouped_comma", "grouped_point"))
_DECIMAL: frozenset[ColumnType] = frozenset(("double", *COMMA, *GROUPED))
_ORDERS = ("", "_ymd", "_either", "_dmy", "_mdy")


def base_of(kind: ColumnType) -> str:
    """Return the type without the way in which its values are written: "double" for "decimal_comma"."""
    return "double" if kind in _DECIMAL else kind.partition("_")[0]


ARROW_TYPES: dict[ColumnType, pa.DataType] = {kind: _ARROW_OF_BASE[base_of(kind)] for kind in (*COLUMN_TYPES, "text")}


def _joined_types() -> dict[frozenset[str], str]:
    joined = {
        frozenset(("integer", "bigint")): "bigint",
        frozenset(("double", "grouped_point")): "grouped_point",
        frozenset(("decimal_comma", "grouped_comma")): "grouped_comma",
    }
    for whole in ("integer", "bigint"):
        joined |= {frozenset((whole, kind)): kind for kind in _DECIMAL}
    for order in _ORDERS:
        joined[frozenset((f"date{order}", f"timestamp{order}"))] = f"timestamp{order}"
    for order in ("_dmy", "_mdy"):
        for one, other in combinations((f"date{order}", f"timestamp{order}", "date_either", "timestamp_either"), 2):
            both = "timestamp" if "timestamp" in one + other else "date"
            if order in one + other:
                joined[frozenset((one, other))] = f"{both}{order}"
    return joined


_JOINED = _joined_types()
"""The type that reads what either of two reads; of pairs that are not here it is text."""

_UNTRIMMED: tuple[ColumnType, ...] = ("integer", "double", "boolean", "date", "timestamp", "timestamptz")
"""Types that are first tried on values as they stand: most files have no blanks around values, and no NULL words."""
_FEW = 20
NULL_WORDS = pa.array(["", "NA", "N/A", "NaN", "nan", "NULL", "null"])
"""In a column of text they are text."""


class ColumnTyper:
    """Finds the type of one column of text, batch by batch.

    Each batch has a type of its own, the first that reads all of it; `_JOINED` joins the types of two batches.
    """

    def __init__(self, *, comma_delimited: bool = False) -> None:
        """With `comma_delimited`, "1,234" alone is no decimal: it may be a thousand."""
        self._found: ColumnType | None = None
        self._has_long = False
        self._style = NumberStyle()
        self._comma_delimited = comma_delimited
        self.decisive: tuple[int, str] | None = None
        """1-based row and value because of which the column has its type and none that is narrower."""

    def add(self, values: pa.Array, first_row: int = 1) -> None:
        """Take a batch of the column into account: an array of strings, `first_row` the 1-based row of the first."""
        if self._found == "text" or values.null_count == len(values):
            return
        # The type of the batches before most likely reads this one too, as it stands. Then it remains the type.
        if self._found and _read_untrimmed(values, self._found):
            self._measure(values, self._found, first_row)
            return
        trimmed = _trim(values)
        if trimmed.null_count == len(trimmed):
            return
        # A narrower type than that of the batches before would be joined with it to the same.
        found = self._found if self._found and _reads(trimmed, self._found) else _type_of(trimmed)
        # By the batches before, and only then is this one counted.
        joined = self._join(found)
        self._measure(trimmed, found, first_row)
        if joined != self._found:
            place = _decisive_place(trimmed, self._found, joined)
            self.decisive = (first_row + place, values[place].as_py())
        self._found = joined

    def _measure(self, values: pa.Array, kind: ColumnType, first_row: int) -> None:
        if kind in _DECIMAL:
            self._style.add(values, "," if kind in COMMA else ".", first_row)
        elif kind in ("integer", "bigint"):
            self._style.add_whole()
            if not self._has_long:
                self._has_long = kind == "bigint" and notation.has_long(values)

    def _join(self, found: ColumnType) -> ColumnType:
        if self._found in (None, found):
            return found
        both = frozenset((self._found, found))
        # What was taken for decimals may have been thousands: 1.234 before 5.678,50.
        thousands = (frozenset(("double", "grouped_comma")), frozenset(("decimal_comma", "grouped_point")))
        if both in thousands and self._style.only_thousands:
            return "grouped_comma" if "grouped_comma" in both else "grouped_point"
        return _JOINED.get(both, "text")  # type: ignore[return-value]

    @property
    def because(self) -> str:
        """The row and the value because of which the column has its type, for messages; "" without values."""
        row, value = (self.column_type == "text" and self._style.lost_zeros) or self.decisive or (0, "")
        return f"row {row}: {clip(value)!r}" if row else ""

    @property
    def number_type(self) -> ColumnType:
        """The narrowest type that reads every value, though numbers may come back without zeros at their ends."""
        found = self._found or "text"
        if found.endswith("_either"):
            return "text"
        # With a comma as delimiter, 1,234 may be a thousand; and 1.234.567 alone may be the number of a file.
        if found == "decimal_comma" and self._comma_delimited and self._style.only_thousands:
            return "text"
        if found in GROUPED and not self._style.has_decimals:
            return "text"
        # As a double a long integer would become another number.
        return "text" if found in _DECIMAL and self._has_long else found

    @property
    def column_type(self) -> ColumnType:
        """The narrowest type that gives every value back as it is written; text for a column without values."""
        found = self.number_type
        # What has signs between thousands is no code.
        return "text" if found in _DECIMAL - GROUPED and self._style.lost_zeros else found

    @property
    def why_text(self) -> str | None:
        """Why a column that looks like numbers or dates is text; None for all other columns."""
        found = self._found
        if self.column_type != "text" or found is None:
            return None
        row, value = self.decisive or (0, "")
        if found.endswith("_either"):
            return f"row {row}: {value!r} may begin with the day or with the month"
        if found in _DECIMAL and self.number_type == "text" and not self._has_long:
            return f"row {row}: {value!r} may have a decimal sign or thousands"
        if found in _DECIMAL and self._style.lost_zeros:
            row, value = self._style.lost_zeros
        return notation.lost(row, value)


def describe(names: Iterable[str], typers: Iterable[ColumnTyper], types: Iterable[ColumnType]) -> Json:
    """Return what users see of the types: each column's, how its values are written, and why numbers stayed text."""
    columns = list(zip(names, typers, types, strict=True))
    return {
        "column_types": {name: base_of(kind) for name, _, kind in columns},
        "notations": {name: kind for name, _, kind in columns if kind != base_of(kind)},
        "kept_as_text": {name: typer.why_text for name, typer, kind in columns if kind == "text" and typer.why_text},
    }


def convert(values: pa.Array, kind: ColumnType) -> pa.Array:
    """Return strings as an array of ARROW_TYPES[kind], the type that was found for their column.

    Raises pyarrow.ArrowInvalid when a value cannot be read at all.
    """
    if kind == "text":
        return values
    if kind in _UNTRIMMED:
        # A blank or a NULL word may be among them.
        with suppress(pa.ArrowInvalid):
            return _cast(values, kind)
    return _cast(_trim(values), kind)


def _type_of(trimmed: pa.Array) -> ColumnType:
    # pyarrow writes an error text for each value that it cannot read, so a few values are tried first.
    few = trimmed.slice(0, _FEW)
    return next((kind for kind in COLUMN_TYPES if _reads(few, kind) and _reads(trimmed, kind)), "text")


def _decisive_place(trimmed: pa.Array, before: ColumnType | None, joined: ColumnType) -> int:
    """Return the place of the value because of which a column has the type `joined` and not the one before."""
    first = int(pc.index(trimmed.is_valid(), True).as_py())
    narrower = before or _type_of(trimmed.slice(first, 1))
    if narrower == joined:
        return first
    low, high = first, len(trimmed)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _reads(trimmed.slice(low, middle - low), narrower) else (low, middle)
    return low


def _read_untrimmed(values: pa.Array, kind: ColumnType) -> bool:
    return kind in _UNTRIMMED and _reads(values.slice(0, _FEW), kind) and _reads(values, kind)


def _trim(values: pa.Array) -> pa.Array:
    trimmed = pc.ascii_trim_whitespace(values)
    return pc.if_else(pc.is_in(trimmed, NULL_WORDS), pa.scalar(None, pa.string()), trimmed)


def _reads(trimmed: pa.Array, kind: ColumnType) -> bool:
    """Whether a type reads all values, and gives each of them back as it is written."""
    base = base_of(kind)
    if kind != base and not notation.matches(trimmed, kind):
        return False
    if kind.endswith("_either"):
        day_first, month_first = (f"{base}{order}" for order in ("_dmy", "_mdy"))
        return _reads(trimmed, day_first) and _reads(trimmed, month_first)  # type: ignore[arg-type]
    plain = notation.to_plain(trimmed, kind)
    try:
        read = plain.cast(ARROW_TYPES[kind])
    except pa.ArrowInvalid:
        return False
    if base in ("integer", "bigint"):
        return notation.is_plain_integer(trimmed)
    if base == "double":
        return notation.is_plain_double(plain, read)
    # pyarrow's cast would take 0 and 1 for booleans, too.
    return base != "boolean" or pc.all(pc.greater(pc.binary_length(trimmed), 3)).as_py() is not False


def _cast(trimmed: pa.Array, kind: ColumnType) -> pa.Array:
    return notation.to_plain(trimmed, kind).cast(ARROW_TYPES[kind])
