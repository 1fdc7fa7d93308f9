"""Well-known binary, a batch at a time: what the first bytes of each value say, and values for PostGIS.

The format: OGC 06-103r4, section 8, with the ISO (1000, 2000, 3000) and the EWKB (high bits) marks of Z and M.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Bytes: TypeAlias = npt.NDArray[np.uint8]
TypeCodes: TypeAlias = npt.NDArray[np.uint8]
Coordinates: TypeAlias = npt.NDArray[np.float64]

POINT, LINE, POLYGON, MULTIPOINT, MULTILINE, MULTIPOLYGON, COLLECTION = range(1, 8)
NAMES = (
    *("", "Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"),
    *("CircularString", "CompoundCurve", "CurvePolygon", "MultiCurve", "MultiSurface", "Curve", "Surface"),
    *("PolyhedralSurface", "TIN", "Triangle"),
)
"""By type code."""
FIRST_CURVE, LAST_CURVE = 8, 14
SURFACES = NAMES[LAST_CURVE + 1 :]
MULTI_OFFSET = 3
"""The multi type of Point, LineString and Polygon has their code plus 3."""

_EWKB_Z, _EWKB_M, _EWKB_SRID = 0x80000000, 0x40000000, 0x20000000
_BEFORE_FIRST_POINT = np.array((0, 5, 9, 13, 14, 18, 22, 0), np.int64)
"""Bytes of a value before its first coordinates, by type code; 0 where they cannot be told without a look inside."""
SHORTEST = 5
"""Bytes of the head of a value: the order of bytes and the type."""


@dataclass(frozen=True)
class Headers:
    """What the first bytes of each value say. All arrays have one element per row."""

    type_codes: TypeCodes
    """Geometry type without Z and M: 1 to 7, curves and surfaces above; 0 for null."""
    coordinate_dimensions: npt.NDArray[np.uint8]
    """Numbers per point: 2, 3 or 4; 0 for null."""
    sizes: Integers
    """Bytes."""
    plain: Flags
    """Little-endian and without an SRID of its own."""


def name_of(type_code: int) -> str:
    """Return the name of a geometry type; "type 99" for one that WKB does not know."""
    return NAMES[type_code] if type_code < len(NAMES) else f"type {type_code}"


def count_types(type_codes: TypeCodes) -> Counter[str]:
    """Count rows by the name of their geometry type."""
    codes, numbers = np.unique(type_codes, return_counts=True)
    return Counter({name_of(int(code)): int(number) for code, number in zip(codes, numbers, strict=True)})


def read_headers(values: pa.Array) -> Headers:
    """Read type, coordinate dimension and size of every value of a binary array of WKB or EWKB, of any byte order."""
    data, ends = buffers(values)
    sizes = np.diff(ends)
    type_codes = np.zeros(len(sizes), np.uint8)
    coordinate_dimensions = np.zeros(len(sizes), np.uint8)
    plain = np.zeros(len(sizes), np.bool_)
    rows = np.flatnonzero(sizes >= SHORTEST)
    starts = ends[rows]
    little = data[starts] == 1
    codes = read_uint32(data, starts + 1)
    codes = np.where(little, codes, codes.astype(np.uint32).byteswap()).astype(np.int64)
    # ISO writes Z, M and ZM as 1000, 2000 and 3000 above the type; EWKB as bits.
    iso, base = np.divmod(codes & 0xFFFF, 1000)
    has_z = (codes & _EWKB_Z != 0) | (iso == 1) | (iso == 3)
    has_m = (codes & _EWKB_M != 0) | (iso == 2) | (iso == 3)
    type_codes[rows] = np.minimum(base, 255)
    coordinate_dimensions[rows] = 2 + has_z + has_m
    plain[rows] = little & (codes & _EWKB_SRID == 0)
    return Headers(type_codes, coordinate_dimensions, sizes, plain)


def first_points(values: pa.Array, headers: Headers) -> tuple[Integers, Coordinates]:
    """Return the first point of each geometry that is written plainly, without taking its value apart.

    Returns
    -------
    rows
        The rows of these geometries, shape (n,): not collections, and not those that have no points.
    points
        x and y, shape (n, 2).
    """
    data, ends = buffers(values)
    # Behind the head stand the counts of points or rings, and for multi types the head of the first part.
    skipped = _BEFORE_FIRST_POINT[np.minimum(headers.type_codes, COLLECTION)]
    rows = np.flatnonzero(headers.plain & (skipped > 0) & (headers.sizes >= skipped + 16))
    places = ends[rows] + skipped[rows]
    points = data[places[:, None] + np.arange(16)].view("<f8").astype(np.float64) if len(rows) else np.empty((0, 2))
    finite = np.isfinite(points).all(axis=1)
    return rows[finite], points[finite]


def from_bytes(data: Bytes, ends: Integers, valid: Flags) -> pa.Array:
    """Return a binary array of values that lie end to end.

    Parameters
    ----------
    ends
        Offsets of the values in data, shape (rows + 1,).
    valid
        Which rows are not null, shape (rows,).

    Raises
    ------
    ValueError
        The values have 2 GB or more, which the array's 32-bit offsets cannot reach.
    """
    if ends[-1] >= 2**31:
        raise ValueError("A batch of geometries must stay below 2 GB.")
    bitmap = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [bitmap, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(valid), buffers, null_count=int((~valid).sum()))


def to_ewkb(values: pa.Array, type_codes: TypeCodes, srid: int, *, multi: bool) -> pa.Array:
    """Return EWKB, which names its SRID, of two-dimensional little-endian WKB.

    Parameters
    ----------
    type_codes
        Of each value, 1 to 6, and 0 for null; shape (rows,).
    srid
        The EPSG code of the CRS.
    multi
        Whether single types become multi types of one part.
    """
    heads = [_ewkb_head(code, srid, multi=multi) for code in range(COLLECTION + 1)]
    prefixes = pa.array(heads, pa.binary()).take(pa.array(type_codes, pa.int8()))
    if multi and (type_codes < MULTIPOINT).all():
        bodies = values
    elif not multi or (type_codes >= MULTIPOINT).all():
        bodies = _cut_heads(values)
    else:
        bodies = pc.if_else(pa.array(type_codes < MULTIPOINT), values, _cut_heads(values))
    return pc.binary_join_element_wise(prefixes, bodies, pa.scalar(b"", pa.binary()))


def _cut_heads(values: pa.Array) -> pa.Array:
    # Without an end, binary_slice of pyarrow 26 fails on long values.
    return pc.binary_slice(values, SHORTEST, 2**31 - 1)


def _ewkb_head(type_code: int, srid: int, *, multi: bool) -> bytes:
    wrap = multi and type_code < MULTIPOINT
    code = (type_code + MULTI_OFFSET if wrap else type_code) | _EWKB_SRID
    head = b"\x01" + code.to_bytes(4, "little") + srid.to_bytes(4, "little")
    return head + (1).to_bytes(4, "little") if wrap else head


def buffers(values: pa.Array) -> tuple[Bytes, Integers]:
    """Return the bytes of a binary array and its offsets into them, shape (rows + 1,); both begin at its first row."""
    width = "<i8" if pa.types.is_large_binary(values.type) else "<i4"
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, width)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return content[ends[0] : ends[-1]], ends - ends[0]


def read_uint32(data: Bytes, starts: Integers) -> Integers:
    """Return the little-endian 32-bit number at each offset."""
    if not len(starts):
        return np.empty(0, np.int64)
    numbers: Integers = data[starts[:, None] + np.arange(4)].view("<u4")[:, 0].astype(np.int64)
    return numbers
