"""Columns of a GeoJSON file: names and types found from the values of all its features, and values of those types.

Texts are judged as a CSV's are, by the whole column: dates and times only where every value is one. Objects, arrays and
values of several types in one column stay JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from schema.errors import PermanentError
from services.vector.readers.csv import types as csv_types
from services.vector.readers.csv.types import ColumnTyper
from services.vector.readers.geojson.decode import write_json

MAX_COLUMNS = 10_000
_ARROW_TYPES: dict[str, pa.DataType] = dict(csv_types.ARROW_TYPES.items()) | {"json": pa.json_(pa.string())}
_TIMES = frozenset(kind for kind, carrier in csv_types.ARROW_TYPES.items() if pa.types.is_temporal(carrier))
_NUMBERS = frozenset((int, float))
_EXACT = 2**53
"""Doubles hold every whole number up to it."""


@dataclass(frozen=True)
class Column:
    """A column of attributes."""

    name: str
    kind: str
    """boolean, integer, bigint, double, text, json, or one of csv_types that is a date or time."""

    @property
    def type_name(self) -> str:
        """The type, without the way in which texts of it are written."""
        return csv_types.base_of(self.kind) if self.kind in csv_types.ARROW_TYPES else self.kind

    @property
    def arrow_type(self) -> pa.DataType:
        """The type of its arrays."""
        return _ARROW_TYPES[self.kind]


class JsonTyper:
    """Finds the type of one column of JSON values, batch by batch."""

    def __init__(self) -> None:
        self._types: set[type] = set()
        self._lowest = self._highest = 0
        self._inexact = False
        """A whole number is none of a double's."""
        # Without commas between values, "1,234" would be a number; texts of JSON that look like numbers are texts.
        self._texts = ColumnTyper(comma_delimited=True)
        self._may_be_times = True

    def add(self, values: list[Any]) -> None:
        """Take values into account, None for those that are missing."""
        types = set(map(type, values)) - {type(None)}
        self._types |= types
        if int in types:
            # bool is an int to Python.
            numbers = [value for value in values if type(value) is int]
            self._lowest, self._highest = min(self._lowest, *numbers), max(self._highest, *numbers)
            if not self._inexact and max(-min(numbers), *numbers) > _EXACT:
                self._inexact = any(abs(value) > _EXACT and not _is_double(value) for value in numbers)
        if self._types == {str} and self._may_be_times:
            try:
                self._texts.add(pa.array([value for value in values if value is not None], pa.string()))
            except UnicodeEncodeError:
                self._may_be_times = False
            self._may_be_times &= self._texts.column_type in (*_TIMES, "text")

    @property
    def kind(self) -> str:
        """The type that holds every value as it is; text for a column without values."""
        if self._types == {bool}:
            return "boolean"
        if self._types == {int}:
            return _integer_kind(self._lowest, self._highest)
        if self._types and self._types <= _NUMBERS:
            # As a double a long whole number would become another one.
            return "text" if self._inexact else "double"
        if self._types == {str}:
            return self._texts.column_type if self._may_be_times else "text"
        return "json" if self._types else "text"


class ColumnFinder:
    """Finds the columns of all features, in the order in which their names first occur."""

    def __init__(self) -> None:
        self._typers: dict[str, JsonTyper] = {}

    def add(self, rows: Sequence[dict[str, Any] | None]) -> None:
        """Take the properties of features into account. Raises PermanentError for more than MAX_COLUMNS names."""
        names: dict[str, Any] = {}
        for row in rows:
            if row:
                names |= row
        for name in names:
            values = [row.get(name) if row else None for row in rows]
            self._typers.setdefault(name, JsonTyper()).add(values)
        if len(self._typers) > MAX_COLUMNS:
            raise PermanentError(
                f"The features have properties under more than {MAX_COLUMNS} different names.",
                remediation="Put those that few features have into one property, as an object, and upload the file "
                "again.",
                code="too_many_columns",
            )

    @property
    def columns(self) -> tuple[Column, ...]:
        """The columns of the features so far."""
        return tuple(Column(name, typer.kind) for name, typer in self._typers.items())


def convert(values: list[Any], kind: str) -> pa.Array:
    """Return JSON values, None for those that are missing, as an array of a type that reads all of them."""
    if kind == "json":
        texts = [None if value is None else write_json(value) for value in values]
        return pa.ExtensionArray.from_storage(_ARROW_TYPES[kind], pa.array(texts, pa.string()))
    if kind == "text":
        return _strings(values)
    if kind in _TIMES:
        return csv_types.convert(_strings(values), kind)
    if kind == "double":
        values = [None if value is None else float(value) for value in values]
    # Not from pandas: NaN is a value.
    return pa.array(values, _ARROW_TYPES[kind], from_pandas=False)


def readable_name(name: str) -> str:
    """Return a property's name as text that PostgreSQL holds: NUL and bytes that are not UTF-8 become U+FFFD."""
    return _as_bytes(name).decode(errors="replace").replace("\0", "\ufffd")


def _strings(values: Iterable[Any]) -> pa.Array:
    """Return values as texts; those that are not UTF-8 stay bytes, which the load counts as lost."""
    texts = [value if value is None or isinstance(value, str) else write_json(value) for value in values]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:
        # view, not cast, which would refuse them.
        return pa.array([None if text is None else _as_bytes(text) for text in texts], pa.binary()).view(pa.string())


def _as_bytes(text: str) -> bytes:
    try:
        return text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        # Half a surrogate pair, as an escape writes it.
        return text.encode(errors="surrogatepass")


def _integer_kind(lowest: int, highest: int) -> str:
    for kind, bits in (("integer", 31), ("bigint", 63)):
        if -(2**bits) <= lowest and highest < 2**bits:
            return kind
    return "text"


def _is_double(value: int) -> bool:
    try:
        return int(float(value)) == value
    except OverflowError:
        return False
