"""Random tables: a column of every kind of value, and geometries of one dimension, as hypothesis draws them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from hypothesis import strategies as st

MAX_ROWS = 6
_DIGITS = 5
"""Of coordinates. With more GDAL writes 160 for 159.999999 into GeoJSONSeq, where it takes the nines for an error."""
NULL_WORDS = ("na", "n/a", "nan", "null")


@dataclass(frozen=True)
class Kind:
    """A kind of column."""

    name: str
    """Of the column; short, for shapefiles."""
    arrow_type: pa.DataType
    values: st.SearchStrategy[Any]


@dataclass(frozen=True)
class RandomTable:
    """Rows with their geometries."""

    attributes: pa.Table
    """A column of each kind, by its name."""
    shapes: tuple[Any, ...]
    """Valid geometries of one type, or of a single type and its multi type; None for none. At least one is not None."""
    crs: str


def _rounded(low: float, high: float, digits: int) -> st.SearchStrategy[float]:
    # Whole numbers of the last digit, so that a text of 15 digits reads back as the same number.
    scale = 10**digits
    return st.integers(int(low * scale), int(high * scale)).map(lambda number: round(number / scale, digits))


_TEXTS = st.text(
    st.characters(categories=("L", "N", "P", "S", "Zs"), exclude_characters="\x85\u2028\u2029"), min_size=1, max_size=12
)
_CODES = st.from_regex(r"[+-]?0?[0-9]{1,4}([.:eE/-][+-]?[0-9]{1,3}){0,2}(Z|[+][0-9]{2})?", fullmatch=True)


def _is_plain(text: str) -> bool:
    # Text formats cannot tell such values from none, or lose their blanks.
    return text == text.strip() and text.lower() not in NULL_WORDS


KINDS = (
    Kind("whole", pa.int64(), st.integers(-(10**15), 10**15)),
    Kind("big", pa.int64(), st.integers(-(2**63) + 1, 2**63 - 1)),
    Kind("real", pa.float64(), _rounded(-1e6, 1e6, 6)),
    Kind("wide", pa.float64(), st.floats(-1e300, 1e300).map(lambda number: float(f"{number:.12g}"))),
    Kind("größe", pa.string(), _TEXTS.filter(_is_plain)),
    Kind("code", pa.string(), _CODES.filter(_is_plain)),
    Kind("flag", pa.bool_(), st.booleans()),
    Kind("day", pa.date32(), st.dates(date(1900, 1, 1), date(2100, 1, 1))),
    Kind("moment", pa.timestamp("ms"), st.integers(0, 4 * 10**12)),
    Kind("instant", pa.timestamp("ms", "UTC"), st.integers(0, 4 * 10**12)),
)


@st.composite
def tables(draw: st.DrawFn) -> RandomTable:
    """Draw a table of up to MAX_ROWS rows, about one value in eight null."""
    rows = draw(st.integers(1, MAX_ROWS))
    columns = {}
    for kind in KINDS:
        values = [None if draw(st.integers(0, 7)) == 7 else draw(kind.values) for _ in range(rows)]
        columns[kind.name] = pa.array(values, kind.arrow_type)
    crs = draw(st.sampled_from(("EPSG:4326", "EPSG:4326", "EPSG:25832")))
    one = draw(st.sampled_from(tuple(_SHAPES)))
    types = draw(st.sampled_from(((one,), (f"Multi{one}",), (one, f"Multi{one}"))))
    shapes = [draw(_shapes(draw(st.sampled_from(types)), crs)) for _ in range(rows)]
    # The first one stays: a file without any geometry has no type.
    shapes[1:] = [None if draw(st.integers(0, 7)) == 7 else shape for shape in shapes[1:]]
    return RandomTable(pa.table(columns), tuple(shapes), crs)


def _shapes(name: str, crs: str) -> st.SearchStrategy[Any]:
    if not name.startswith("Multi"):
        return _places(crs).flatmap(_SHAPES[name])
    parts = st.integers(1, 3).flatmap(lambda count: _places(crs).flatmap(_of_several(name[5:], count)))
    collect: dict[str, Callable[[Any], Any]] = {
        "MultiPoint": shapely.MultiPoint,
        "MultiLineString": shapely.MultiLineString,
        "MultiPolygon": shapely.MultiPolygon,
    }
    return parts.map(collect[name])


_Place = tuple[float, float, float]
"""x, y and the size of a shape: shapes of one place stay within twice that size."""


def _places(crs: str) -> st.SearchStrategy[_Place]:
    if crs == "EPSG:4326":
        # Away from the antimeridian, where a load cuts geometries.
        return st.tuples(_rounded(-160, 160, _DIGITS), _rounded(-80, 80, _DIGITS), st.just(1.0))
    return st.tuples(_rounded(300_000, 700_000, 3), _rounded(5_300_000, 6_000_000, 3), st.just(1_000.0))


def _of_several(name: str, count: int) -> Callable[[_Place], st.SearchStrategy[Any]]:
    # Side by side, three sizes apart, so that parts never touch.
    return lambda place: st.tuples(*(_SHAPES[name]((place[0] + 3 * n * place[2], *place[1:])) for n in range(count)))


def _vertices(place: _Place, most: int) -> st.SearchStrategy[Any]:
    x, y, size = place
    steps = st.tuples(st.integers(0, 1000), st.integers(0, 1000))
    return st.lists(steps, min_size=most and 2, max_size=most, unique=True).map(
        lambda points: np.round(np.array(points) / 1000 * size + (x, y), _DIGITS)
    )


def _points(place: _Place) -> st.SearchStrategy[Any]:
    return _vertices(place, 2).map(lambda points: shapely.Point(points[0]))


def _lines(place: _Place) -> st.SearchStrategy[Any]:
    return _vertices(place, 5).map(shapely.LineString)


def _polygons(place: _Place) -> st.SearchStrategy[Any]:
    x, y, size = place

    def make(width: int, height: int, *, holed: bool) -> Any:
        corners = np.round([(x, y), (x, y + height / 1000 * size), (x + width / 1000 * size, y)], _DIGITS)
        triangle = shapely.Polygon(corners)
        if not holed:
            return triangle
        # A triangle a quarter as large, within the first.
        inner = np.round(
            corners[0] + (corners - corners[0]) / 4 + (corners[1] + corners[2] - 2 * corners[0]) / 8, _DIGITS
        )
        return shapely.Polygon(corners, [inner])

    return st.builds(make, st.integers(100, 1000), st.integers(100, 1000), holed=st.booleans())


_SHAPES: dict[str, Callable[[_Place], st.SearchStrategy[Any]]] = {
    "Point": _points,
    "LineString": _lines,
    "Polygon": _polygons,
}
