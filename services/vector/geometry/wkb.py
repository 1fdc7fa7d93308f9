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
SHORTEST = 5
"""Bytes of the head of a value: the order of bytes and the type."""


@dataclass(frozen=True)
class Headers:
    """What the first bytes of each value say. All arrays have one element per row."""

    kinds: npt.NDArray[np.uint8]
    """Geometry type without Z and M: 1 to 7, curves and surfaces above; 0 for null."""
    dimensions: npt.NDArray[np.uint8]
    """Numbers per point: 2, 3 or 4; 0 for null."""
    sizes: Integers
    """Bytes."""
    plain: Flags
    """Little-endian and without an SRID of its own."""


def name_of(kind: int) -> str:
    """Name a geometry type by its code."""
    return NAMES[kind] if kind < len(NAMES) else f"type {kind}"


def count_types(kinds: npt.NDArray[np.uint8]) -> Counter[str]:
    """Count rows by the name of their geometry type."""
    codes, numbers = np.unique(kinds, return_counts=True)
    return Counter({name_of(int(code)): int(number) for code, number in zip(codes, numbers, strict=True)})


def read_headers(values: pa.Array) -> Headers:
    """Read type, dimension and size of every value of a binary array."""
    data, ends = buffers(values)
    sizes = np.diff(ends)
    kinds = np.zeros(len(sizes), np.uint8)
    dimensions = np.zeros(len(sizes), np.uint8)
    plain = np.zeros(len(sizes), np.bool_)
    rows = np.flatnonzero(sizes >= SHORTEST)
    starts = ends[rows]
    little = data[starts] == 1
    codes = read_uint32(data, starts + 1)
    codes = np.where(little, codes, codes.astype(np.uint32).byteswap()).astype(np.int64)
    iso, base = np.divmod(codes & 0xFFFF, 1000)
    has_z = (codes & _EWKB_Z != 0) | (iso == 1) | (iso == 3)
    has_m = (codes & _EWKB_M != 0) | (iso == 2) | (iso == 3)
    kinds[rows] = np.minimum(base, 255)
    dimensions[rows] = 2 + has_z + has_m
    plain[rows] = little & (codes & _EWKB_SRID == 0)
    return Headers(kinds, dimensions, sizes, plain)


def from_bytes(data: Bytes, ends: Integers, valid: Flags) -> pa.Array:
    """Make a binary array of values that lie end to end."""
    if ends[-1] >= 2**31:
        raise ValueError("A batch of geometries must stay below 2 GB.")
    bitmap = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    buffers = [bitmap, pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.binary(), len(valid), buffers, null_count=int((~valid).sum()))


def to_ewkb(values: pa.Array, kinds: npt.NDArray[np.uint8], srid: int, *, multi: bool) -> pa.Array:
    """Give two-dimensional little-endian WKB an SRID, and with `multi` make single types one-part multi types."""
    heads = [_ewkb_head(kind, srid, multi=multi) for kind in range(COLLECTION + 1)]
    prefixes = pa.array(heads, pa.binary()).take(pa.array(kinds, pa.int8()))
    if multi and (kinds < MULTIPOINT).all():
        bodies = values
    elif not multi or (kinds >= MULTIPOINT).all():
        bodies = _cut_heads(values)
    else:
        bodies = pc.if_else(pa.array(kinds < MULTIPOINT), values, _cut_heads(values))
    return pc.binary_join_element_wise(prefixes, bodies, pa.scalar(b"", pa.binary()))


def _cut_heads(values: pa.Array) -> pa.Array:
    # Without an end, binary_slice of pyarrow 26 fails on long values.
    return pc.binary_slice(values, SHORTEST, 2**31 - 1)


def _ewkb_head(kind: int, srid: int, *, multi: bool) -> bytes:
    wrap = multi and kind < MULTIPOINT
    code = (kind + MULTI_OFFSET if wrap else kind) | _EWKB_SRID
    head = b"\x01" + code.to_bytes(4, "little") + srid.to_bytes(4, "little")
    return head + (1).to_bytes(4, "little") if wrap else head


def buffers(values: pa.Array) -> tuple[Bytes, Integers]:
    """Give the bytes of a binary array and its offsets into them; both begin at its first row."""
    width = "<i8" if pa.types.is_large_binary(values.type) else "<i4"
    _, offsets, data = values.buffers()
    ends = np.frombuffer(offsets, width)[values.offset : values.offset + len(values) + 1].astype(np.int64)
    content = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return content[ends[0] : ends[-1]], ends - ends[0]


def read_uint32(data: Bytes, starts: Integers) -> Integers:
    """Read a little-endian number at each place."""
    if not len(starts):
        return np.empty(0, np.int64)
    numbers: Integers = data[starts[:, None] + np.arange(4)].view("<u4")[:, 0].astype(np.int64)
    return numbers
