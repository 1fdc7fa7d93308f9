"""Coordinates in tables of text: the columns that hold them, what their numbers can mean, and points made of them.

Pure. Points in, WKB out; x before y.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from schema.errors import PermanentError
from schema.words import clip, listed
from services.vector.geometry import wkb
from services.vector.read_options import ReadOptions

Floats: TypeAlias = npt.NDArray[np.float64]

LATITUDE = ("latitude", "lat", "y", "northing", "ycoord", "y_coord", "lat_wgs84", "geo_lat", "decimallatitude")
LONGITUDE = (
    *("longitude", "lon", "lng", "long", "x", "easting", "xcoord", "x_coord", "lon_wgs84", "geo_lon"),
    "decimallongitude",
)
_ALIKE = (
    ("latitude", "longitude"), ("lat", "lon"), ("lat", "lng"), ("lat", "long"), ("y", "x"), ("northing", "easting"),
)  # fmt: skip
"""Names that belong together, for a table that has several columns of coordinates."""
SHAPE = ("wkt", "geom", "geometry", "the_geom", "wkb", "wkb_geometry", "geom_wkt", "shape", "ewkt", "ewkb")
PAIR = ("latlon", "lat_lon", "latlng", "lat_lng", "coordinates", "coords", "location", "position", "lat,lon", "geo")

UNREADABLE = "coordinates_unreadable"
UNSUPPORTED = "unsupported_geometry_type"
OUT_OF_RANGE = "coordinates_out_of_range"

_NUMBER = r"^[-+]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][-+]?[0-9]+)?$"
_PAIR = r"^[(\[]?\s*(?P<first>[-+]?[0-9]+(?:\.[0-9]*)?)\s*[,; ]\s*(?P<second>[-+]?[0-9]+(?:\.[0-9]*)?)\s*[)\]]?$"
_SHAPE = re.compile(
    r"\s*(SRID=\d+;)?\s*(POINT|LINESTRING|POLYGON|MULTI|GEOMETRYC|CURVE|CIRC|COMPOUND|TIN|TRIANGLE|SURFACE|POLYH)"
    r"|\s*0[01][0-9a-f]{8,}\s*$",
    re.IGNORECASE,
)
_BEYOND = re.compile(r"CIRC|COMPOUND|CURVE|MULTIC|MULTIS|TIN|TRIANGLE|POLYH", re.IGNORECASE)
"""How the WKT of curves and surfaces begins."""
_SWAPPED_SHARE = 0.1
"""Share of rows that must be impossible one way before the axes count as swapped: less is rows with errors."""


@dataclass(frozen=True)
class Place:
    """The columns that hold the geometry, by their positions."""

    kind: Literal["points", "pair", "shape"]
    """points: two columns of numbers. pair: one column of "lat,lon". shape: one column of WKT or WKB in hex."""
    x: int
    """The column of x or longitude; for a pair or a shape its one column."""
    y: int


@dataclass
class Ranges:
    """Rows by what their two numbers can mean, counted over the whole file."""

    rows: int = 0
    as_named: int = 0
    """Latitude within 90 degrees and longitude within 360."""
    swapped: int = 0
    """The same with the two changed over."""

    def look(self, x: Floats, y: Floats) -> None:
        """Count more rows. NaN is no row."""
        known = ~(np.isnan(x) | np.isnan(y))
        self.rows += int(known.sum())
        self.as_named += int((_are_degrees(x, y) & known).sum())
        self.swapped += int((_are_degrees(y, x) & known).sum())

    @property
    def axes(self) -> Literal["as named", "swapped", "projected"]:
        """Tell what the numbers are, if they are degrees at all."""
        wrong = self.rows - self.as_named
        if wrong <= self.rows * _SWAPPED_SHARE:
            return "as named"
        return "swapped" if self.swapped == self.rows else "projected"


def find_place(names: Sequence[str], samples: Sequence[Sequence[str]], read_options: ReadOptions) -> Place:
    """Find the columns of the geometry: those that the user names, else those with usual names.

    `samples` are some values of each column. Raises PermanentError naming the columns when there are none.
    """
    plain = [name.strip().lower() for name in names]
    named = _named_place(plain, names, read_options)
    if named:
        return named
    shape = _first(plain, SHAPE, lambda i: any(map(_SHAPE.match, samples[i])))
    if shape is not None:
        return Place("shape", shape, shape)
    alike = next(((lat, lon) for lat, lon in _ALIKE if {lat, lon} <= set(plain)), None)
    y, x = (plain.index(name) for name in alike) if alike else (_first(plain, LATITUDE), _first(plain, LONGITUDE))
    if x is not None and y is not None:
        return Place("points", x, y)
    one = _first(plain, PAIR, lambda i: any(re.match(_PAIR, value.strip()) for value in samples[i]))
    if one is not None:
        return Place("pair", one, one)
    raise PermanentError(
        f"No column of coordinates was found. The columns are: {listed(names)}.",
        remediation='Name them with "latitude_column" and "longitude_column", or with "wkt_column".',
        code="coordinates_missing",
    )


def _named_place(plain: Sequence[str], names: Sequence[str], read_options: ReadOptions) -> Place | None:
    if read_options.wkt_column:
        shape = _position(read_options.wkt_column, plain, names)
        return Place("shape", shape, shape)
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
    return Place("pair" if x == y else "points", x, y)


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


def read_numbers(values: pa.Array) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Read a column of coordinates, with a decimal point or comma: the numbers, NaN for none, and which are wrong."""
    trimmed = pc.ascii_trim_whitespace(values)
    try:
        # Where every value is a plain number, which is the rule, no pattern is needed.
        read, given = trimmed.cast(pa.float64()), pc.is_valid(trimmed)
    except pa.ArrowInvalid:
        read, given = _read_odd_numbers(trimmed)
    numbers = read.to_numpy(zero_copy_only=False)
    finite = np.isfinite(numbers)
    return np.where(finite, numbers, np.nan), given.to_numpy(zero_copy_only=False) & ~finite


def _read_odd_numbers(trimmed: pa.Array) -> tuple[pa.Array, pa.Array]:
    given = pc.and_kleene(pc.is_valid(trimmed), pc.not_equal(trimmed, "")).fill_null(False)
    fits = pc.match_substring_regex(trimmed, _NUMBER).fill_null(False)
    plain = pc.replace_substring(pc.if_else(fits, trimmed, pa.scalar(None, pa.string())), ",", ".")
    return plain.cast(pa.float64()), given


def read_pairs(values: pa.Array) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Read a column of "lat,lon": x, y, and which values are wrong."""
    trimmed = pc.ascii_trim_whitespace(values)
    given = pc.and_kleene(pc.is_valid(trimmed), pc.not_equal(trimmed, "")).fill_null(False)
    parts = pc.extract_regex(trimmed, _PAIR)
    y, _ = read_numbers(pc.struct_field(parts, "first"))
    x, _ = read_numbers(pc.struct_field(parts, "second"))
    return x, y, given.to_numpy(zero_copy_only=False) & (np.isnan(x) | np.isnan(y))


def out_of_range(x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    """Find the rows that cannot be longitude and latitude in degrees."""
    return ~(np.isnan(x) | np.isnan(y) | _are_degrees(x, y))


def points(x: Floats, y: Floats, keep: npt.NDArray[np.bool_]) -> pa.Array:
    """Make points as WKB; null where not `keep`, or where a number is missing."""
    whole = keep & np.isfinite(x) & np.isfinite(y)
    values = np.zeros(len(x), dtype=[("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])
    values["order"], values["kind"], values["x"], values["y"] = 1, 1, x, y
    data = values[whole]
    ends = np.concatenate(([0], np.cumsum(np.where(whole, values.itemsize, 0)))).astype(np.int32)
    bitmap = pa.py_buffer(np.packbits(whole, bitorder="little"))
    return pa.Array.from_buffers(pa.binary(), len(x), [bitmap, pa.py_buffer(ends), pa.py_buffer(data.tobytes())])


def read_shapes(values: pa.Array) -> tuple[pa.Array, npt.NDArray[np.bool_], set[int]]:
    """Read WKT, EWKT or hex: WKB, which values are wrong, and the SRIDs that were named."""
    texts = [None if text is None or not text.strip() else text.strip() for text in values.to_pylist()]
    given = np.array([text is not None for text in texts], np.bool_)
    bare, srids = zip(*(_part_srid(text) for text in texts), strict=True) if texts else ((), ())
    is_hex = np.array([text is not None and text[:1] == "0" for text in bare], np.bool_)
    shapes = np.full(len(texts), None, np.object_)
    words = np.array(bare, np.object_)
    shapes[~is_hex] = _read_all(shapely.from_wkt, words[~is_hex])
    shapes[is_hex] = _read_all(shapely.from_wkb, words[is_hex])
    found = {int(number) for number in np.unique(shapely.get_srid(shapes)) if number > 0}
    found |= {srid for srid in srids if srid}
    values = pa.array(shapely.to_wkb(shapes, output_dimension=4, flavor="iso", byte_order=1), pa.binary())
    return values, given & shapely.is_missing(shapes), found


def fault_of(text: str) -> str:
    """Say why a shape was not read: curves and surfaces may be well written, but no table of ours takes them."""
    bare, _ = _part_srid(text.strip())
    if bare and bare[:1] == "0" and re.fullmatch("[0-9a-fA-F]{10,}", bare[:18]):
        kind = wkb.read_headers(pa.array([bytes.fromhex(bare[:10])])).kinds[0]
        return UNSUPPORTED if wkb.COLLECTION < kind < len(wkb.NAMES) else UNREADABLE
    return UNSUPPORTED if bare and _BEYOND.match(bare) else UNREADABLE


def _read_all(read: Callable[..., Any], texts: Any) -> Any:
    try:
        return read(texts, on_invalid="ignore")
    except NotImplementedError:
        # A single curve has shapely read none of them.
        return np.array([_read_one(read, text) for text in texts], np.object_)


def _read_one(read: Callable[..., Any], text: str | None) -> Any:
    try:
        return read(text, on_invalid="ignore")
    except NotImplementedError:
        return None


def first_points(shapes: pa.Array) -> Floats:
    """Give the first point of each shape in WKB that has one: an array of shape (n, 2)."""
    read = shapely.from_wkb(shapes.drop_null().to_numpy(zero_copy_only=False))
    points, owners = shapely.get_coordinates(read, return_index=True)
    _, firsts = np.unique(owners, return_index=True)
    return points[firsts]


def _part_srid(text: str | None) -> tuple[str | None, int]:
    if text is None or text[:5].upper() != "SRID=":
        return text, 0
    head, _, rest = text.partition(";")
    number = head[5:].strip()
    return rest.strip(), int(number) if number.isdecimal() and len(number) < 7 else 0


def _are_degrees(x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    degrees: npt.NDArray[np.bool_] = (np.abs(y) <= 90) & (x >= -180) & (x <= 360)
    return degrees
