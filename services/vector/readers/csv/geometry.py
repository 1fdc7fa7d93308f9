"""Coordinates in tables of text: the columns that hold them, what their numbers can mean, and geometries from them.

Pure. Text in, WKB out; x (longitude, easting) before y.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from schema.clipping import clip, listed
from schema.errors import PermanentError
from services.vector.geometry import reasons, wkb
from services.vector.geometry.crs import Bounds
from services.vector.geometry.wkb import Flags
from services.vector.read_options import ReadOptions

Floats: TypeAlias = npt.NDArray[np.float64]

LATITUDE = ("latitude", "lat", "y", "northing", "ycoord", "y_coord", "lat_wgs84", "geo_lat", "decimallatitude")
LONGITUDE = (
    *("longitude", "lon", "lng", "long", "x", "easting", "xcoord", "x_coord", "lon_wgs84", "geo_lon"),
    "decimallongitude",
)
_COUNTERPARTS = (
    ("latitude", "longitude"), ("lat", "lon"), ("lat", "lng"), ("lat", "long"), ("y", "x"), ("northing", "easting"),
)  # fmt: skip
"""Names that belong together, for a table with several columns of coordinates."""
SHAPE = ("wkt", "geom", "geometry", "the_geom", "wkb", "wkb_geometry", "geom_wkt", "shape", "ewkt", "ewkb")
PAIR = ("latlon", "lat_lon", "latlng", "lat_lng", "coordinates", "coords", "location", "position", "lat,lon", "geo")

_NUMBER = r"^[-+]?([0-9]+([.,][0-9]*)?|[.,][0-9]+)([eE][-+]?[0-9]+)?$"
_PAIR = r"^[(\[]?\s*(?P<first>[-+]?[0-9]+(?:\.[0-9]*)?)\s*[,; ]\s*(?P<second>[-+]?[0-9]+(?:\.[0-9]*)?)\s*[)\]]?$"
_SHAPE = re.compile(
    r"\s*(SRID=\d+;)?\s*(POINT|LINESTRING|POLYGON|MULTI|GEOMETRYC|CURVE|CIRC|COMPOUND|TIN|TRIANGLE|SURFACE|POLYH)"
    r"|\s*0[01][0-9a-f]{8,}\s*$",
    re.IGNORECASE,
)
_CURVE_OR_SURFACE = re.compile(r"CIRC|COMPOUND|CURVE|MULTIC|MULTIS|TIN|TRIANGLE|POLYH", re.IGNORECASE)
"""How the WKT of types begins that shapely cannot read."""
# Share of rows that must be impossible as named before the axes count as swapped; fewer are rows with errors.
_SWAPPED_SHARE = 0.1


@dataclass(frozen=True)
class GeometryColumns:
    """The columns that hold the geometry, by their positions."""

    kind: Literal["points", "pair", "shape"]
    """points: two columns of numbers. pair: one column of "lat,lon". shape: one column of WKT or WKB in hex."""
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
        if wrong <= self.rows * _SWAPPED_SHARE:
            return "as named"
        return "swapped" if self.swapped == self.rows else "projected"


def find_geometry_columns(
    names: Sequence[str], samples: Sequence[Sequence[str]], read_options: ReadOptions
) -> GeometryColumns:
    """Find the columns of the geometry: those that the user names, else those with usual names.

    Parameters
    ----------
    names
        The columns of the table.
    samples
        Some values of each column: a column named `geometry` counts only if it holds geometries.

    Raises
    ------
    PermanentError
        There is no such column; the message lists the columns.
    """
    plain = [name.strip().lower() for name in names]
    named = _named_columns(plain, names, read_options)
    if named:
        return named
    shape = _first(plain, SHAPE, lambda i: any(map(_SHAPE.match, samples[i])))
    if shape is not None:
        return GeometryColumns("shape", shape, shape)
    known = next(((lat, lon) for lat, lon in _COUNTERPARTS if {lat, lon} <= set(plain)), None)
    y, x = (plain.index(name) for name in known) if known else (_first(plain, LATITUDE), _first(plain, LONGITUDE))
    if x is not None and y is not None:
        return GeometryColumns("points", x, y)
    one = _first(plain, PAIR, lambda i: any(re.match(_PAIR, value.strip()) for value in samples[i]))
    if one is not None:
        return GeometryColumns("pair", one, one)
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
    try:
        # The rule is that every value is a plain number: then no pattern is needed.
        read, given = trimmed.cast(pa.float64()), pc.is_valid(trimmed)
    except pa.ArrowInvalid:
        given = _is_given(trimmed)
        fits = pc.match_substring_regex(trimmed, _NUMBER).fill_null(False)
        plain = pc.replace_substring(pc.if_else(fits, trimmed, pa.scalar(None, pa.string())), ",", ".")
        read = plain.cast(pa.float64())
    numbers = read.to_numpy(zero_copy_only=False)
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
    return pc.and_kleene(pc.is_valid(trimmed), pc.not_equal(trimmed, "")).fill_null(False)


def out_of_range(x: Floats, y: Floats) -> Flags:
    """Return the rows that cannot be longitude and latitude in degrees; rows with a NaN are not among them."""
    return ~(np.isnan(x) | np.isnan(y) | _are_degrees(x, y))


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


def read_shapes(values: pa.Array) -> tuple[pa.Array, Flags, set[int]]:
    """Read a column of WKT, EWKT, or WKB or EWKB in hex.

    Parameters
    ----------
    values
        Strings, shape (n,).

    Returns
    -------
    shapes
        ISO WKB with Z and M, shape (n,); null where there is none.
    wrong
        Shape (n,): values that are there but cannot be read.
    srids
        All SRIDs that values name.
    """
    texts = [None if text is None or not text.strip() else text.strip() for text in values.to_pylist()]
    given = np.array([text is not None for text in texts], np.bool_)
    bare, srids = zip(*(_split_srid(text) for text in texts), strict=True) if texts else ((), ())
    is_hex = np.array([text is not None and text[:1] == "0" for text in bare], np.bool_)
    shapes = np.full(len(texts), None, np.object_)
    words = np.array(bare, np.object_)
    shapes[~is_hex] = _read(shapely.from_wkt, words[~is_hex])
    shapes[is_hex] = _read(shapely.from_wkb, words[is_hex])
    found = {int(number) for number in np.unique(shapely.get_srid(shapes)) if number > 0}
    found |= {srid for srid in srids if srid}
    values = pa.array(shapely.to_wkb(shapes, output_dimension=4, flavor="iso", byte_order=1), pa.binary())
    return values, given & shapely.is_missing(shapes), found


def _read(read: Callable[..., Any], texts: Any) -> Any:
    """Read texts with a function of shapely: an array of geometries, None for those that cannot be read."""
    try:
        return read(texts, on_invalid="ignore")
    except NotImplementedError:
        # With a curve among them shapely reads none of the array, so halves are tried, down to the curve.
        if len(texts) == 1:
            return np.array([None], np.object_)
        half = len(texts) // 2
        return np.concatenate([_read(read, texts[:half]), _read(read, texts[half:])])


def shape_fault(text: str) -> str:
    """Return the reason why a shape was not read: curves and surfaces may be well written, but are not supported."""
    bare, _ = _split_srid(text.strip())
    if bare and bare[:1] == "0" and re.fullmatch("[0-9a-fA-F]{10,}", bare[:18]):
        kind = wkb.read_headers(pa.array([bytes.fromhex(bare[:10])])).type_codes[0]
        is_unsupported = wkb.COLLECTION < kind < len(wkb.NAMES)
    else:
        is_unsupported = bool(bare and _CURVE_OR_SURFACE.match(bare))
    return reasons.UNSUPPORTED if is_unsupported else reasons.COORDINATES_UNREADABLE


def first_points(shapes: pa.Array) -> Floats:
    """Return the first point of each shape in WKB that has one, x and y: shape (n, 2)."""
    read = shapely.from_wkb(shapes.drop_null().to_numpy(zero_copy_only=False))
    points, owners = shapely.get_coordinates(read, return_index=True)
    _, firsts = np.unique(owners, return_index=True)
    return points[firsts]


def _split_srid(text: str | None) -> tuple[str | None, int]:
    if text is None or text[:5].upper() != "SRID=":
        return text, 0
    head, _, rest = text.partition(";")
    number = head[5:].strip()
    # SRIDs have up to six digits: PostGIS allows 998,999.
    return rest.strip(), int(number) if number.isdecimal() and len(number) < 7 else 0


def _are_degrees(x: Floats, y: Floats) -> Flags:
    # Up to 360: longitudes may be counted from 0, which a later step turns.
    degrees: Flags = (np.abs(y) <= 90) & (x >= -180) & (x <= 360)
    return degrees
