"""Runs of coordinates in a batch of well-known binary: where each lies, and new values with other coordinates.

Most of a load's time would go into making one Python object per geometry, changing it and writing it out again. Here
the coordinates of a whole batch are taken out of its bytes as one array, and put back between the old headers. What
numpy cannot take apart in a few steps (collections, big-endian or broken values, very many rings) is left to shapely,
row by row; `Located.odd` says which rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from services.vector.geometry.wkb import (
    LINE,
    MULTI_OFFSET,
    MULTILINE,
    MULTIPOINT,
    MULTIPOLYGON,
    POINT,
    POLYGON,
    SHORTEST,
    Bytes,
    Coordinates,
    Flags,
    Headers,
    Integers,
    buffers,
    from_bytes,
    read_headers,
    read_uint32,
)

_MAX_STEPS = 400


@dataclass(frozen=True)
class Located:
    """The runs of coordinates in a batch: one run per point, line or ring, in the order of the bytes."""

    data: Bytes
    """All values, end to end."""
    ends: Integers
    """Offsets of the values in data: rows + 1 elements."""
    headers: Headers
    odd: Flags
    """Rows that have no runs because shapely must read them."""
    rows: Integers
    """The row of each run."""
    starts: Integers
    """Offset in data of each run's first point."""
    points: Integers
    """Points in each run."""
    parts: Integers
    """Number of the part that each run belongs to: grows by one with each point, line or polygon."""


def locate(values: pa.Array) -> Located:
    """Find every run of coordinates.

    All rows advance side by side, one header a step, so the cost is that of the row with the most rings; a row that
    needs more than 400 steps is odd.
    """
    data, ends = buffers(values)
    headers = read_headers(values)
    walk = _Walk(data, ends, headers)
    walk.run()
    odd = walk.odd
    rows, starts, points, parts = (np.concatenate(found) for found in walk.found())
    keep = np.flatnonzero(~odd[rows])
    order = keep[np.argsort(starts[keep], kind="stable")]
    rows, starts, points, parts = (found[order] for found in (rows, starts, points, parts))
    first_of_part = np.ones(len(rows), np.bool_)
    first_of_part[1:] = (np.diff(rows) != 0) | (np.diff(parts) != 0)
    return Located(data, ends, headers, odd, rows, starts, points, np.cumsum(first_of_part) - 1)


def read_coordinates(located: Located) -> Coordinates:
    """Take x and y of every point of every run, in order: an array of shape (points, 2)."""
    dimensions = located.headers.dimensions[located.rows].astype(np.int64)
    if not len(dimensions):
        return np.empty((0, 2))
    if (dimensions == dimensions[0]).all():
        return np.ascontiguousarray(_numbers(located, dimensions)[:, :2])
    coordinates = np.empty((int(located.points.sum()), 2))
    of_point = np.repeat(dimensions, located.points)
    for width in np.unique(dimensions):
        runs = dimensions == width
        part = Located(located.data, located.ends, located.headers, located.odd, located.rows[runs],
                       located.starts[runs], located.points[runs], located.parts[runs])  # fmt: skip
        coordinates[of_point == width] = _numbers(part, dimensions[runs])[:, :2]
    return coordinates


def write(located: Located, coordinates: Coordinates) -> pa.Array:
    """Make the values anew with these x and y for their points, in two dimensions; odd and null rows become null."""
    whole = _is_whole(located)
    widths = located.headers.dimensions[located.rows].astype(np.int64)
    mask = _coordinate_mask(located, widths)
    kept = np.repeat(whole, np.diff(located.ends))
    heads = located.data[kept & ~mask]
    shrink = np.bincount(located.rows, weights=located.points * 8 * (widths - 2), minlength=len(whole))
    sizes = np.where(whole, np.diff(located.ends) - shrink.astype(np.int64), 0)
    ends = np.concatenate(([0], np.cumsum(sizes)))
    starts = _new_starts(located, widths, ends)
    out = np.empty(int(ends[-1]), np.uint8)
    filled = _runs_mask(len(out), starts, located.points * 16)
    out[filled] = np.ascontiguousarray(coordinates).view(np.uint8).ravel()
    out[~filled] = heads
    if (located.headers.dimensions[whole] > 2).any():
        _write_flat_types(out, located, starts, ends[:-1][whole], located.headers.kinds[whole])
    return from_bytes(out, ends, whole)


class _Walk:
    """All rows of a batch, each with a cursor in its own value."""

    def __init__(self, data: Bytes, ends: Integers, headers: Headers) -> None:
        self._data = data
        self._ends = ends[1:]
        self._stride = headers.dimensions.astype(np.int64) * 8
        self._kinds = headers.kinds
        simple = headers.plain & (headers.kinds >= POINT) & (headers.kinds <= MULTIPOLYGON)
        self.odd: Flags = (headers.sizes > 0) & ~simple
        self._position = ends[:-1] + SHORTEST
        self._parts = np.zeros(len(self.odd), np.int64)
        self._rings = np.zeros(len(self.odd), np.int64)
        self._part_number = np.zeros(len(self.odd), np.int64)
        self._found: list[tuple[Integers, Integers, Integers, Integers]] = []
        self._simple = simple

    def found(self) -> tuple[list[Integers], list[Integers], list[Integers], list[Integers]]:
        none = np.empty(0, np.int64)
        rows, starts, points, parts = zip((none,) * 4, *self._found, strict=True)
        return list(rows), list(starts), list(points), list(parts)

    def run(self) -> None:
        self._take_points(self._where(POINT))
        self._take_multipoints(self._where(MULTIPOINT))
        lines, polygons = self._where(LINE), self._where(POLYGON)
        self._rings[lines] = 1
        self._rings[polygons] = self._read_count(polygons)
        multi = self._where(MULTILINE, MULTIPOLYGON)
        self._parts[multi] = self._read_count(multi)
        for _ in range(_MAX_STEPS):
            rows = np.flatnonzero((self._rings > 0) & ~self.odd)
            if len(rows):
                self._take_ring(rows)
            opening = np.flatnonzero((self._rings == 0) & (self._parts > 0) & ~self.odd)
            if len(opening):
                self._open_part(opening)
            elif not len(rows):
                break
        self.odd |= (self._rings > 0) | (self._parts > 0)
        # Bytes left over, or a cursor behind the end, mean that the value is not what its header says.
        self.odd |= self._simple & (self._position != self._ends)

    def _where(self, *kinds: int) -> Integers:
        return np.flatnonzero(self._simple & np.isin(self._kinds, kinds))

    def _read_count(self, rows: Integers) -> Integers:
        ends = self._position[rows] + 4
        self.odd[rows[ends > self._ends[rows]]] = True
        counts = np.where(ends <= self._ends[rows], read_uint32(self._data, np.minimum(ends, self._ends[rows]) - 4), 0)
        self._position[rows] = ends
        # A count that cannot fit into what is left would overflow the sums below.
        wrong = counts > self._ends[rows] - ends
        self.odd[rows[wrong]] = True
        return np.where(wrong, 0, counts)

    def _take_points(self, rows: Integers) -> None:
        self._emit(rows, np.ones(len(rows), np.int64))

    def _take_multipoints(self, rows: Integers) -> None:
        # Each point has a header of its own, so all lie at equal distances.
        counts = self._read_count(rows)
        step = SHORTEST + self._stride[rows]
        end = self._position[rows] + counts * step
        fits = end == self._ends[rows]
        self.odd[rows[~fits]] = True
        rows, counts, step = rows[fits], counts[fits], step[fits]
        nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.repeat(self._position[rows], counts) + nth * np.repeat(step, counts) + SHORTEST
        self._found.append((np.repeat(rows, counts), starts, np.ones(len(nth), np.int64), nth))
        self._position[rows] = end[fits]

    def _take_ring(self, rows: Integers) -> None:
        counts = self._read_count(rows)
        self._emit(rows, counts)
        self._rings[rows] -= 1

    def _open_part(self, rows: Integers) -> None:
        self._position[rows] += SHORTEST
        self._parts[rows] -= 1
        self._part_number[rows] += 1
        polygons = rows[self._kinds[rows] == MULTIPOLYGON]
        self._rings[rows[self._kinds[rows] == MULTILINE]] = 1
        self._rings[polygons] = counts = self._read_count(polygons)
        # A part without rings has no run by which its header could be found again.
        self.odd[polygons[counts == 0]] = True

    def _emit(self, rows: Integers, counts: Integers) -> None:
        starts = self._position[rows]
        ends = starts + counts * self._stride[rows]
        fits = ends <= self._ends[rows]
        self.odd[rows[~fits]] = True
        self._position[rows] = ends
        rows = rows[fits]
        self._found.append((rows, starts[fits], counts[fits], self._part_number[rows]))


def _numbers(located: Located, widths: Integers) -> Coordinates:
    mask = _coordinate_mask(located, widths)
    return located.data[mask].view(np.float64).reshape(-1, int(widths[0]))


def _coordinate_mask(located: Located, widths: Integers) -> Flags:
    return _runs_mask(len(located.data), located.starts, located.points * 8 * widths)


def _runs_mask(size: int, starts: Integers, lengths: Integers) -> Flags:
    """Mark the bytes of runs that are in order and do not overlap."""
    gaps = np.empty(len(starts) * 2 + 1, np.int64)
    ends = starts + lengths
    gaps[0:-1:2] = starts - np.concatenate(([0], ends[:-1])) if len(starts) else 0
    gaps[1::2] = lengths
    gaps[-1] = size - (ends[-1] if len(ends) else 0)
    return np.repeat(np.arange(len(gaps)) % 2 == 1, gaps)


def _is_whole(located: Located) -> Flags:
    return (located.headers.kinds > 0) & ~located.odd


def _new_starts(located: Located, widths: Integers, ends: Integers) -> Integers:
    """Where each run begins after the runs before it in its row have lost Z and M."""
    lost = located.points * 8 * (widths - 2)
    before = np.cumsum(lost) - lost
    first_of_row = np.concatenate(([True], np.diff(located.rows) != 0)) if len(lost) else np.empty(0, np.bool_)
    base = np.repeat(before[first_of_row], np.diff(np.append(np.flatnonzero(first_of_row), len(lost))))
    starts: Integers = ends[located.rows] + (located.starts - located.ends[located.rows]) - (before - base)
    return starts


def _write_flat_types(out: Bytes, located: Located, starts: Integers, heads: Integers, kinds: Bytes) -> None:
    """Rewrite the type codes of values that had Z or M: of each value, and of each part of a multi type."""
    _write_type(out, heads, kinds)
    multi = located.headers.kinds[located.rows]
    first = np.ones(len(starts), np.bool_)
    first[1:] = np.diff(located.parts) != 0
    for kind, header in ((MULTIPOINT, 5), (MULTILINE, 9), (MULTIPOLYGON, 13)):
        parts = starts[first & (multi == kind)] - header
        _write_type(out, parts, np.full(len(parts), kind - MULTI_OFFSET, np.uint8))


def _write_type(out: Bytes, heads: Integers, kinds: Bytes) -> None:
    out[heads[:, None] + np.arange(1, SHORTEST)] = kinds.astype("<u4")[:, None].view(np.uint8)
