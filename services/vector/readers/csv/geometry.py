"""Coordinates in tables of text: the columns that hold them, what their numbers can mean, and geometries from them.

Pure. Text in, WKB out; x (longitude, easting) before y.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schema.clipping import clip, listed
from schema.errors import PermanentError
from services.vector.geometry.crs import Bounds
from services.vector.geometry.wkb import Flags
from services.vector.read_options import ReadOptions
from services.vector.readers.csv.coordinate_names import PAIR, SHAPE, find_pair, plain_name
from services.vector.readers.csv.shapes import is_shape
from services.vector.readers.csv.types import NULL_WORDS

Floats: TypeAlias = npt.NDArray[np.float64]

_NUMBER = r"^[-+]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][-+]?[0-9]+)?$"
_PAIR = r"^[(\[]?\s*(?P<first>[-+]?[0-9]+(?:\.[0-9]*)?)\s*[,; ]\s*(?P<second>[-+]?[0-9]+(?:\.[0-9]*)?)\s*[)\]]?$"
# Rows that must be impossible as named before the axes count as swapped; fewer are rows with errors.
_SWAPPED_SHARE, _SWAPPED_ROWS = 0.1, 2


@dataclass(frozen=True)
class GeometryColumns:
    """The columns that hold the geometry, by their positions."""

    kind: Literal["points", "pair", "shape"]
    """points: two columns of numbers. pair: one of "lat,lon". shape: one of WKT, WKB in hex or GeoJSON."""
    x: int
    """The column of x or longitude; for a pair or a shape its one column."""
    y: int


@dataclass
class AxisRanges:
    """Rows by what their two numbers can mean, counted over the whole file."""

    rows: int = 0
    as_named: int = 0
    """Latitude within 90 degrees and longitude within 360."""
    swapped: int = 0
    """The same with the two exchanged."""
    _bounds: Floats = field(default_factory=lambda: np.array([np.inf, np.inf, -np.inf, -np.inf]))

    def add(self, x: Floats, y: Floats) -> None:
        """Count more rows; those with a NaN are not counted."""
        known = ~(np.isnan(x) | np.isnan(y))
        self.rows += int(known.sum())
        self.as_named += int((_are_degrees(x, y) & known).sum())
        self.swapped += int((_are_degrees(y, x) & known).sum())
        if known.any():
            x, y = x[known], y[known]
            self._bounds[:2] = np.minimum(self._bounds[:2], (x.min(), y.min()))
            self._bounds[2:] = np.maximum(self._bounds[2:], (x.max(), y.max()))

    def bounds(self, *, swapped: bool) -> Bounds | None:
        """Return the bounds of all rows, with x and y exchanged if `swapped`; None when no row was counted."""
        west, south, east, north = map(float, self._bounds[[1, 0, 3, 2]] if swapped else self._bounds)
        return (west, south, east, north) if self.rows else None

    @property
    def axes(self) -> Literal["as named", "swapped", "projected"]:
        """What the numbers are: degrees as the columns are named, degrees the other way round, or not degrees."""
        wrong = self.rows - self.as_named
        if self.swapped == self.rows and wrong >= min(self.rows, max(_SWAPPED_ROWS, self.rows * _SWAPPED_SHARE)) > 0:
            return "swapped"
        # Eastings and northings are hardly ever possible as degrees, so if half of the rows are, the others are errors.
        return "as named" if 2 * self.as_named >= self.rows else "projected"


def find_geometry_columns(
    names: Sequence[str], samples: Sequence[Sequence[str]], read_options: ReadOptions, *, plane_first: bool = False
) -> GeometryColumns:
    """Find the columns of the geometry: those that the user names, else those with usual names.

    Parameters
    ----------
    names
        The columns of the table.
    samples
        Some values of each column: a column named `geometry` counts only if it holds geometries.
    plane_first
        As in find_pair.

    Raises
    ------
    PermanentError
        There is no such column; the message lists the columns.
    """
    named = _named_columns([name.strip().lower() for name in names], names, read_options)
    if named:
        return named
    plain = [plain_name(name) for name in names]
    shape = _first(plain, SHAPE, lambda i: any(map(is_shape, samples[i])))
    if shape is not None:
        return GeometryColumns("shape", shape, shape)
    found = find_pair(plain, plane_first=plane_first)
    if found:
        y, x = found
        return GeometryColumns("points", x, y)
    one = _first(plain, PAIR, lambda i: any(re.match(_PAIR, value.strip()) for value in samples[i]))
    if one is not None:
        return GeometryColumns("pair", one, one)
    # Whatever a column of geometries is called, its values are like no others.
    shapes = [i for i, values in enumerate(samples) if values and all(map(is_shape, values))]
    if len(shapes) == 1:
        return GeometryColumns("shape", shapes[0], shapes[0])
    raise PermanentError(
        f"No column of coordinates was found. The columns are: {listed(names)}.",
        remediation='Name them with "latitude_column" and "longitude_column", or with "wkt_column".',
        code="coordinates_missing",
    )


def _named_columns(plain: Sequence[str], names: Sequence[str], read_options: ReadOptions) -> GeometryColumns | None:
    if read_options.wkt_column:
        shape = _position(read_options.wkt_column, plain, names)
        return GeometryColumns("shape", shape, shape)
    if not (read_options.latitude_column or read_options.longitude_column):
        return None
    if not (read_options.latitude_column and read_options.longitude_column):
        raise PermanentError(
            "latitude_column and longitude_column belong together; one of them is missing.",
            remediation="Give both; the same name twice means one column that holds both numbers.",
            code="coordinates_missing",
        )
    y = _position(read_options.latitude_column, plain, names)
    x = _position(read_options.longitude_column, plain, names)
    return GeometryColumns("pair" if x == y else "points", x, y)


def _position(wanted: str, plain: Sequence[str], names: Sequence[str]) -> int:
    if wanted in names:
        return list(names).index(wanted)
    if wanted.strip().lower() in plain:
        return list(plain).index(wanted.strip().lower())
    raise PermanentError(
        f"There is no column {clip(wanted)!r}. The columns are: {listed(names)}.",
        remediation="Correct the name of the column, and submit the job again.",
        code="column_missing",
    )


def _first(plain: Sequence[str], usual: Sequence[str], fits: Callable[[int], bool] = lambda _: True) -> int | None:
    found = (list(plain).index(name) for name in usual if name in plain)
    return next((i for i in found if fits(i)), None)


def read_numbers(values: pa.Array) -> tuple[Floats, Flags]:
    """Read a column of coordinates, with a decimal point or comma.

    Parameters
    ----------
    values
        Strings, shape (n,).

    Returns
    -------
    numbers
        Shape (n,); NaN where there is none.
    wrong
        Shape (n,): values that are there but are not finite numbers.
    """
    trimmed = pc.ascii_trim_whitespace(values)
    # The rule is that every value is a plain number: then no pattern is needed.
    with suppress(pa.ArrowInvalid):
        read = trimmed.cast(pa.float64())
        if pc.all(pc.is_finite(read)).as_py() is not False:
            numbers = read.to_numpy(zero_copy_only=False)
            return numbers, np.zeros(len(numbers), np.bool_)
    given = _is_given(trimmed)
    fits = pc.match_substring_regex(trimmed, _NUMBER).fill_null(False)
    plain = pc.replace_substring(pc.if_else(fits, trimmed, pa.scalar(None, pa.string())), ",", ".")
    numbers = plain.cast(pa.float64()).to_numpy(zero_copy_only=False)
    finite = np.isfinite(numbers)
    return np.where(finite, numbers, np.nan), given.to_numpy(zero_copy_only=False) & ~finite


def read_pairs(values: pa.Array) -> tuple[Floats, Floats, Flags]:
    """Read a column of "lat,lon": x, y and which values are wrong, as read_numbers returns them."""
    trimmed = pc.ascii_trim_whitespace(values)
    parts = pc.extract_regex(trimmed, _PAIR)
    y, _ = read_numbers(pc.struct_field(parts, "first"))
    x, _ = read_numbers(pc.struct_field(parts, "second"))
    return x, y, _is_given(trimmed).to_numpy(zero_copy_only=False) & (np.isnan(x) | np.isnan(y))


def _is_given(trimmed: pa.Array) -> pa.Array:
    return pc.invert(pc.is_in(trimmed, pa.concat_arrays([NULL_WORDS, pa.nulls(1, pa.string())])))


def points(x: Floats, y: Floats, keep: Flags) -> pa.Array:
    """Return points as WKB, a binary array of shape (n,); null where not `keep`, or where a number is missing.

    Written as bytes, since a shapely object for each would take longer than everything else that happens to a point.
    """
    whole = keep & np.isfinite(x) & np.isfinite(y)
    values = np.zeros(len(x), dtype=[("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])
    values["order"], values["kind"], values["x"], values["y"] = 1, 1, x, y
    data = values[whole]
    ends = np.concatenate(([0], np.cumsum(np.where(whole, values.itemsize, 0)))).astype(np.int32)
    bitmap = pa.py_buffer(np.packbits(whole, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(x), [bitmap, pa.py_buffer(ends), pa.py_buffer(data.tobytes())])


def _are_degrees(x: Floats, y: Floats) -> Flags:
    # Up to 360: longitudes may be counted from 0, which a later step turns.
    degrees: Flags = (np.abs(y) <= 90) & (x >= -180) & (x <= 360)
    return degrees
