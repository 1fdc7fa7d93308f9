"""Coordinate sequences in a batch of well-known binary: where each lies, and new values with other coordinates.

Most of a load's time would go into making one Python object per geometry, changing it and writing it out again. Here
the coordinates of a whole batch are taken out of its bytes as one array, and put back between the old headers. What
numpy cannot take apart in a few steps (collections, big-endian or broken values, very many rings) is left to shapely,
row by row; `CoordinateSequences.fallback` says which rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

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
"""Rings of one row that are followed; a row with more would slow down all the others of its batch."""


@dataclass(frozen=True)
class CoordinateSequences:
    """The coordinate sequences of a batch: one per point, line or ring, in the order of the bytes."""

    data: Bytes
    """All values, end to end."""
    ends: Integers
    """Offsets of the values in data, shape (rows + 1,)."""
    headers: Headers
    fallback: Flags
    """Rows that have no sequences here because shapely must read them, shape (rows,)."""
    rows: Integers
    """The row of each sequence, shape (sequences,), like those that follow."""
    starts: Integers
    """Offset in data of each sequence's first point."""
    points: Integers
    """Points in each sequence."""
    parts: Integers
    """Number of the part that each sequence belongs to: grows by one with each point, line or polygon."""


def locate(values: pa.Array) -> CoordinateSequences:
    """Find every coordinate sequence of a batch of WKB.

    All rows advance side by side, one header a step, so the cost is that of the row with the most rings; a row that
    needs more than 400 steps is left to shapely.
    """
    data, ends = buffers(values)
    headers = read_headers(values)
    walk = _Walk(data, ends, headers)
    walk.run()
    rows, starts, points, parts = (np.concatenate(found) for found in walk.found())
    keep = np.flatnonzero(~walk.fallback[rows])
    order = keep[np.argsort(starts[keep], kind="stable")]
    rows, starts, points, parts = (found[order] for found in (rows, starts, points, parts))
    first_of_part = np.ones(len(rows), np.bool_)
    first_of_part[1:] = (np.diff(rows) != 0) | (np.diff(parts) != 0)
    return CoordinateSequences(data, ends, headers, walk.fallback, rows, starts, points, np.cumsum(first_of_part) - 1)


def read_coordinates(sequences: CoordinateSequences) -> Coordinates:
    """Return x and y of every point of every sequence, in order: an array of shape (points, 2)."""
    widths = _widths(sequences)
    if not len(widths):
        return np.empty((0, 2))
    if (widths == widths[0]).all():
        return np.ascontiguousarray(_read_numbers(sequences, widths)[:, :2])
    coordinates = np.empty((int(sequences.points.sum()), 2))
    width_of_point = np.repeat(widths, sequences.points)
    for width in np.unique(widths):
        chosen = widths == width
        part = replace(sequences, rows=sequences.rows[chosen], starts=sequences.starts[chosen],
                       points=sequences.points[chosen], parts=sequences.parts[chosen])  # fmt: skip
        coordinates[width_of_point == width] = _read_numbers(part, widths[chosen])[:, :2]
    return coordinates


def replace_coordinates(sequences: CoordinateSequences, coordinates: Coordinates) -> pa.Array:
    """Return the values with other x and y, in two dimensions.

    Parameters
    ----------
    coordinates
        x and y of every point of every sequence, in order; shape (points, 2).

    Returns
    -------
    pa.Array
        WKB; null for rows that shapely must read, and for null.
    """
    whole = (sequences.headers.type_codes > 0) & ~sequences.fallback
    widths = _widths(sequences)
    is_coordinate = _mark_bytes(len(sequences.data), sequences.starts, sequences.points * 8 * widths)
    kept = np.repeat(whole, np.diff(sequences.ends))
    heads = sequences.data[kept & ~is_coordinate]
    lost = sequences.points * 8 * (widths - 2)
    shrink = np.bincount(sequences.rows, weights=lost, minlength=len(whole))
    sizes = np.where(whole, np.diff(sequences.ends) - shrink.astype(np.int64), 0)
    ends = np.concatenate(([0], np.cumsum(sizes)))
    starts = _move_starts(sequences, lost, ends)
    out = np.empty(int(ends[-1]), np.uint8)
    filled = _mark_bytes(len(out), starts, sequences.points * 16)
    # Heads and coordinates each keep their order, so two masked copies interleave them.
    out[filled] = np.ascontiguousarray(coordinates).view(np.uint8).ravel()
    out[~filled] = heads
    if (sequences.headers.coordinate_dimensions[whole] > 2).any():
        _write_flat_types(out, sequences, starts, ends[:-1][whole], sequences.headers.type_codes[whole])
    return from_bytes(out, ends, whole)


class _Walk:
    """All rows of a batch, each with a cursor in its own value."""

    def __init__(self, data: Bytes, ends: Integers, headers: Headers) -> None:
        self._data = data
        self._ends = ends[1:]
        self._stride = headers.coordinate_dimensions.astype(np.int64) * 8
        self._type_codes = headers.type_codes
        simple = headers.plain & (headers.type_codes >= POINT) & (headers.type_codes <= MULTIPOLYGON)
        self.fallback: Flags = (headers.sizes > 0) & ~simple
        self._position = ends[:-1] + SHORTEST
        self._parts = np.zeros(len(self.fallback), np.int64)
        self._rings = np.zeros(len(self.fallback), np.int64)
        self._part_number = np.zeros(len(self.fallback), np.int64)
        self._found: list[tuple[Integers, Integers, Integers, Integers]] = []
        self._simple = simple

    def found(self) -> tuple[list[Integers], list[Integers], list[Integers], list[Integers]]:
        none = np.empty(0, np.int64)
        rows, starts, points, parts = zip((none,) * 4, *self._found, strict=True)
        return list(rows), list(starts), list(points), list(parts)

    def run(self) -> None:
        points = self._where(POINT)
        self._emit(points, np.ones(len(points), np.int64))
        self._take_multipoints(self._where(MULTIPOINT))
        lines, polygons = self._where(LINE), self._where(POLYGON)
        self._rings[lines] = 1
        self._rings[polygons] = self._read_count(polygons)
        multi = self._where(MULTILINE, MULTIPOLYGON)
        self._parts[multi] = self._read_count(multi)
        for _ in range(_MAX_STEPS):
            rows = np.flatnonzero((self._rings > 0) & ~self.fallback)
            if len(rows):
                self._emit(rows, self._read_count(rows))
                self._rings[rows] -= 1
            opening = np.flatnonzero((self._rings == 0) & (self._parts > 0) & ~self.fallback)
            if len(opening):
                self._open_part(opening)
            elif not len(rows):
                break
        self.fallback |= (self._rings > 0) | (self._parts > 0)
        # Bytes left over, or a cursor behind the end, mean that the value is not what its header says.
        self.fallback |= self._simple & (self._position != self._ends)

    def _where(self, *codes: int) -> Integers:
        return np.flatnonzero(self._simple & np.isin(self._type_codes, codes))

    def _read_count(self, rows: Integers) -> Integers:
        ends = self._position[rows] + 4
        self.fallback[rows[ends > self._ends[rows]]] = True
        counts = np.where(ends <= self._ends[rows], read_uint32(self._data, np.minimum(ends, self._ends[rows]) - 4), 0)
        self._position[rows] = ends
        # A count that cannot fit into what is left would overflow the sums below.
        wrong = counts > self._ends[rows] - ends
        self.fallback[rows[wrong]] = True
        return np.where(wrong, 0, counts)

    def _take_multipoints(self, rows: Integers) -> None:
        # Each point has a header of its own, so all lie at equal distances.
        counts = self._read_count(rows)
        step = SHORTEST + self._stride[rows]
        end = self._position[rows] + counts * step
        fits = end == self._ends[rows]
        self.fallback[rows[~fits]] = True
        rows, counts, step = rows[fits], counts[fits], step[fits]
        nth = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        starts = np.repeat(self._position[rows], counts) + nth * np.repeat(step, counts) + SHORTEST
        self._found.append((np.repeat(rows, counts), starts, np.ones(len(nth), np.int64), nth))
        self._position[rows] = end[fits]

    def _open_part(self, rows: Integers) -> None:
        self._position[rows] += SHORTEST
        self._parts[rows] -= 1
        self._part_number[rows] += 1
        polygons = rows[self._type_codes[rows] == MULTIPOLYGON]
        self._rings[rows[self._type_codes[rows] == MULTILINE]] = 1
        self._rings[polygons] = counts = self._read_count(polygons)
        # A part without rings has no sequence by which its head could be found again.
        self.fallback[polygons[counts == 0]] = True

    def _emit(self, rows: Integers, counts: Integers) -> None:
        starts = self._position[rows]
        ends = starts + counts * self._stride[rows]
        fits = ends <= self._ends[rows]
        self.fallback[rows[~fits]] = True
        self._position[rows] = ends
        rows = rows[fits]
        self._found.append((rows, starts[fits], counts[fits], self._part_number[rows]))


def _widths(sequences: CoordinateSequences) -> Integers:
    """Return the numbers per point of each sequence."""
    return sequences.headers.coordinate_dimensions[sequences.rows].astype(np.int64)


def _read_numbers(sequences: CoordinateSequences, widths: Integers) -> Coordinates:
    """Return all numbers of sequences of one width, shape (points, width)."""
    is_coordinate = _mark_bytes(len(sequences.data), sequences.starts, sequences.points * 8 * widths)
    return sequences.data[is_coordinate].view(np.float64).reshape(-1, int(widths[0]))


def _mark_bytes(size: int, starts: Integers, lengths: Integers) -> Flags:
    """Return which of so many bytes belong to ranges that are in order and do not overlap."""
    # Lengths of gap, range, gap, range, ..., gap: every second one is marked.
    gaps = np.empty(len(starts) * 2 + 1, np.int64)
    ends = starts + lengths
    gaps[0:-1:2] = starts - np.concatenate(([0], ends[:-1])) if len(starts) else 0
    gaps[1::2] = lengths
    gaps[-1] = size - (ends[-1] if len(ends) else 0)
    return np.repeat(np.arange(len(gaps)) % 2 == 1, gaps)


def _move_starts(sequences: CoordinateSequences, lost: Integers, ends: Integers) -> Integers:
    """Return where each sequence begins after those before it in its row have lost the bytes of Z and M."""
    before = np.cumsum(lost) - lost
    first_of_row = np.concatenate(([True], np.diff(sequences.rows) != 0)) if len(lost) else np.empty(0, np.bool_)
    before_row = np.repeat(before[first_of_row], np.diff(np.append(np.flatnonzero(first_of_row), len(lost))))
    in_value = sequences.starts - sequences.ends[sequences.rows]
    starts: Integers = ends[sequences.rows] + in_value - (before - before_row)
    return starts


def _write_flat_types(
    out: Bytes, sequences: CoordinateSequences, starts: Integers, heads: Integers, type_codes: Bytes
) -> None:
    """Rewrite the type codes of values that had Z or M: of each value, and of each part of a multi type."""
    _write_type(out, heads, type_codes)
    multi = sequences.headers.type_codes[sequences.rows]
    first = np.ones(len(starts), np.bool_)
    first[1:] = np.diff(sequences.parts) != 0
    # Bytes between the head of a part and its first point: the head itself, then the counts of rings and of points.
    for code, header in ((MULTIPOINT, 5), (MULTILINE, 9), (MULTIPOLYGON, 13)):
        parts = starts[first & (multi == code)] - header
        _write_type(out, parts, np.full(len(parts), code - MULTI_OFFSET, np.uint8))


def _write_type(out: Bytes, heads: Integers, type_codes: Bytes) -> None:
    out[heads[:, None] + np.arange(1, SHORTEST)] = type_codes.astype("<u4")[:, None].view(np.uint8)
