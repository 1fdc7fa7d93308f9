"""Coordinates of many GeoJSON geometries as WKB, in arrays: no Python object is made for a point.

The coordinates of a part's rows are joined to one text, which is taken apart twice:

    text        [[1, 2], [3, 4]],[[5, 6, 7], [8, 9, 10]]     two lines
    numbers     1,2,3,4,5,6,7,8,9,10                         without brackets, read by pyarrow
    skeleton    [.,.],[:,:]                                  without numbers, a sign for each point: [,] or [,,]

Each opening bracket of the skeleton becomes a head of WKB (byte order, type and number of parts, or some of them), and
each sign the numbers of a point. What is not as regular (an empty array, null, points of one number) is left to
`odd_geometry`, row by row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from msgspec import Raw

from services.vector.geometry import wkb
from services.vector.geometry.wkb import Bytes, Coordinates, Flags, Integers

TYPE_CODES = {name: code for code, name in enumerate(wkb.NAMES[: wkb.COLLECTION]) if name}
"""WKB type codes of the types that have coordinates."""

_DEPTHS = np.array([0, 0, 1, 2, 1, 2, 3])
"""By type code: the number of brackets around a point."""
_COUNT, _HEAD, _BOTH = 4, 5, 9
"""Bytes of a number of parts, of byte order and type, and of both together."""
_HEADS = np.zeros((7, 4), np.int64)
_HEADS[[wkb.LINE, wkb.POLYGON, wkb.MULTIPOINT, wkb.MULTILINE, wkb.MULTIPOLYGON], 1] = _BOTH
_HEADS[wkb.POLYGON, 2] = _COUNT
_HEADS[[wkb.MULTILINE, wkb.MULTIPOLYGON], 2] = _BOTH
_HEADS[wkb.MULTIPOLYGON, 3] = _COUNT
"""Bytes of the head that an opening bracket becomes, by type code and depth."""
_POINT_HEADS = np.array([0, _HEAD, 0, 0, _HEAD, 0, 0])
"""Bytes of the head of each point, by type code of the row."""
_Z = 1000
"""What ISO adds to a type code for coordinates of three numbers."""

_SPACES = b" \t\r\n"
_NUMBERS = b"0123456789+-.eE" + _SPACES
_NOT_NUMBERS = b"[]" + _SPACES
_SIGNS = {b"[,]": b".", b"[,,]": b":", b"[,,,]": b";"}
"""Of points of two, three and four numbers."""
_MARKS = b"[],.:;"
_OPEN, _CLOSE, _COMMA = b"[],"
_WIDTHS = np.zeros(256, np.int64)
_WIDTHS[list(b".:;")] = (2, 3, 4)
_BESIDE_NUMBERS = (b"[]", b"[,", b",,", b",]")
"""What stands in a skeleton where an array is empty, or where numbers stand beside arrays or alone."""


class Irregular(ValueError):
    """Coordinates of at least one row are not as their type wants them, or empty."""


@dataclass(frozen=True)
class _Skeleton:
    """The brackets of joined coordinates, in their order. All arrays but the last have one element each."""

    rows: Integers
    opens: Flags
    depths: Integers
    """Behind the bracket."""
    points: Integers
    """Points that follow the bracket, before the next one."""
    widths: Integers | None
    """Numbers of each point, shape (points,); None where all have two."""


def write_wkb(coordinates: Sequence[Raw], type_codes: Integers) -> tuple[Bytes, Integers]:
    """Return geometries as WKB that lies end to end, and the offsets of the values in it.

    Points of three or more numbers keep the third as Z; where only some of a row's points have one, the others get 0,
    as GDAL writes them.

    Parameters
    ----------
    coordinates
        The member `coordinates` of each row, JSON that has been found valid.
    type_codes
        WKB type codes of the rows, 1 to 6; shape (rows,). Points stand alone: 1 is the code of all rows or of none.

    Returns
    -------
    tuple
        Bytes, and offsets of shape (rows + 1,). 410 MB of polygons take about 1.5 s.

    Raises
    ------
    Irregular
        A row has no point, something else than numbers, or arrays that are not as deep as its type wants them.
    """
    joined = b",".join(coordinates)
    signs = joined.translate(None, _NUMBERS)
    for array, sign in _SIGNS.items():
        signs = signs.replace(array, sign)
    # Each test is one search through a few bytes for each point.
    _require(not signs.translate(None, _MARKS) and not any(pair in signs for pair in _BESIDE_NUMBERS))
    _require(signs[:1] not in (b"", b",") and not signs.endswith(b","))
    marks = np.frombuffer(signs, np.uint8)
    numbers = _read_numbers(joined)
    if type_codes[0] == wkb.POINT:
        _require(len(marks) == 2 * len(type_codes) - 1 and bool((_WIDTHS[marks[::2]] > 0).all()))
        _require(int(_WIDTHS[marks].sum()) == len(numbers))
        return _write_points(numbers, _WIDTHS[marks[::2]])
    skeleton = _read_skeleton(marks, type_codes)
    points = int(skeleton.points.sum())
    _require(len(numbers) == (2 * points if skeleton.widths is None else int(skeleton.widths.sum())))
    return _assemble(skeleton, numbers, type_codes)


def _read_numbers(joined: bytes) -> Coordinates:
    """Return all numbers of a text whose other bytes are brackets, commas and blanks."""
    text = joined.translate(None, _NOT_NUMBERS)
    commas = np.flatnonzero(np.frombuffer(text, np.uint8) == _COMMA)
    digits = text.translate(None, b",")
    # Without the commas the numbers lie end to end, as the texts of an array do. pyarrow reads them twice as fast as a
    # parser of JSON makes floats of Python.
    ends = np.concatenate(([0], commas - np.arange(len(commas)), [len(digits)])).astype(np.int32)
    texts = pa.Array.from_buffers(pa.string(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(digits)])
    try:
        numbers: Coordinates = texts.cast(pa.float64()).to_numpy()
    except pa.ArrowInvalid as exc:
        raise Irregular from exc
    # A number that no double reaches is infinite.
    _require(bool(np.isfinite(numbers).all()))
    return numbers


def _write_points(numbers: Coordinates, widths: Integers) -> tuple[Bytes, Integers]:
    has_z = widths > 2
    ends = np.concatenate(([0], np.cumsum(_HEAD + 8 * (2 + has_z))))
    out, is_head = np.empty(int(ends[-1]), np.uint8), np.zeros(int(ends[-1]), np.bool_)
    _write_heads(out, is_head, ends[:-1], _types(wkb.POINT + _Z * has_z))
    out[~is_head] = _xyz(numbers, widths, has_z).view(np.uint8)
    return out, ends


def _read_skeleton(marks: Bytes, type_codes: Integers) -> _Skeleton:
    is_point = (marks > _COMMA) & (marks < _OPEN)
    places = np.flatnonzero((marks == _OPEN) | (marks == _CLOSE))
    _require(len(places) > 0)
    opens = marks[places] == _OPEN
    depths = np.cumsum(np.where(opens, 1, -1))
    rows = np.cumsum(opens & (depths == 1)) - 1
    _require(int(rows[-1]) + 1 == len(type_codes) and int(depths[-1]) == 0 and int(depths.min()) == 0)
    point_places = np.flatnonzero(is_point)
    before = np.searchsorted(point_places, places)
    points = np.append(before[1:], len(point_places)) - before
    _require(int(before[0]) == 0 and bool((depths == _DEPTHS[type_codes[rows]])[points > 0].all()))
    widths = _WIDTHS[marks[point_places]]
    return _Skeleton(rows, opens, depths, points, None if (widths == 2).all() else widths)


def _assemble(skeleton: _Skeleton, numbers: Coordinates, type_codes: Integers) -> tuple[Bytes, Integers]:
    rows = skeleton.rows
    has_z = np.zeros(len(type_codes), np.bool_)
    if skeleton.widths is not None:
        row_of_point = np.repeat(rows, skeleton.points)
        has_z[row_of_point[skeleton.widths > 2]] = True
    point_heads = _POINT_HEADS[type_codes[rows]]
    heads = np.where(skeleton.opens, _HEADS[type_codes[rows], skeleton.depths], 0)
    ends = np.cumsum(heads + skeleton.points * (point_heads + 16 + 8 * has_z[rows]))
    starts = np.concatenate(([0], ends[:-1]))
    out, is_head = np.empty(int(ends[-1]), np.uint8), np.zeros(int(ends[-1]), np.bool_)
    for size in (_COUNT, _BOTH):
        chosen = np.flatnonzero(heads == size)
        if len(chosen):
            # The parts of a multi geometry have the single type.
            codes = (
                type_codes[rows[chosen]] - wkb.MULTI_OFFSET * (skeleton.depths[chosen] > 1) + _Z * has_z[rows[chosen]]
            )
            counts = _count_parts(skeleton, chosen).astype("<u4")[:, None].view(np.uint8)
            _write_heads(out, is_head, starts[chosen], counts if size == _COUNT else np.hstack((_types(codes), counts)))
    chosen = np.flatnonzero((point_heads > 0) & (skeleton.points > 0))
    if len(chosen):
        _write_point_heads(out, is_head, (starts + heads)[chosen], skeleton.points[chosen], has_z[rows[chosen]])
    flags = np.zeros(0, np.bool_) if skeleton.widths is None else has_z[row_of_point]
    out[~is_head] = _xyz(numbers, skeleton.widths, flags).view(np.uint8)
    return out, np.append(starts[skeleton.opens & (skeleton.depths == 1)], ends[-1])


def _write_point_heads(out: Bytes, is_head: Flags, starts: Integers, points: Integers, has_z: Flags) -> None:
    """Write the head of each point of multipoints, of which `starts` are the offsets of the first."""
    step = np.repeat(_HEAD + 16 + 8 * has_z, points)
    nth = np.arange(len(step)) - np.repeat(np.cumsum(points) - points, points)
    _write_heads(
        out, is_head, np.repeat(starts, points) + nth * step, _types(wkb.POINT + _Z * np.repeat(has_z, points))
    )


def _write_heads(out: Bytes, is_head: Flags, starts: Integers, heads: Bytes) -> None:
    places = starts[:, None] + np.arange(heads.shape[1])
    out[places] = heads
    is_head[places] = True


def _types(codes: Integers) -> Bytes:
    """Return the order of bytes and the type, shape (n, 5)."""
    heads = np.ones((len(codes), _HEAD), np.uint8)
    heads[:, 1:] = codes.astype("<u4")[:, None].view(np.uint8)
    return heads


def _count_parts(skeleton: _Skeleton, chosen: Integers) -> Integers:
    """Return the number of points or arrays that stand directly in each of some arrays."""
    counts = skeleton.points[chosen].copy()
    depths = skeleton.depths[chosen]
    for depth in np.unique(depths[counts == 0]):
        inner = np.flatnonzero(skeleton.opens & (skeleton.depths == depth + 1))
        wanted = (depths == depth) & (counts == 0)
        # The bracket that closes an array is the next one that leaves a lower depth behind it.
        closes = np.flatnonzero(~skeleton.opens & (skeleton.depths == depth - 1))
        ends = closes[np.searchsorted(closes, chosen[wanted])]
        counts[wanted] = np.searchsorted(inner, ends) - np.searchsorted(inner, chosen[wanted])
    return counts


def _xyz(numbers: Coordinates, widths: Integers | None, has_z: Flags) -> Coordinates:
    """Return x, y and, where `has_z` says so, z of each point, end to end."""
    if widths is None or (widths == 2).all() or (widths == 3).all():
        return numbers
    starts = np.cumsum(widths) - widths
    z = np.where(widths > 2, numbers[np.minimum(starts + 2, len(numbers) - 1)], 0.0)
    points = np.stack((numbers[starts], numbers[starts + 1], z), axis=1)
    kept = np.ones(points.shape, np.bool_)
    kept[:, 2] = has_z
    return points[kept]


def _require(regular: bool) -> None:
    if not regular:
        raise Irregular
