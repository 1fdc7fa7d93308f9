"""The part of a raster that has a place: an image of the whole Earth has corners in space, a map of the world corners
beyond the world. Pure.

PROJ finds coordinates for many of those pixels too, of places that other pixels show. So a pixel counts only if the way
there and back leads to itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS

from services.crs import Operation
from services.raster.planning.georeference import Points, places

NODES = 65
"""Along each side of a raster: 4,225 in all, two transformations of about 2 ms."""
HALVINGS = 24
"""Of the way between a node that has a place and a neighbor that has none."""
Known = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class ValidArea:
    """Which nodes of a raster have a place, and the points where its part with a place ends."""

    cols: Points
    """Shape (n,): the nodes' columns, from 0 to the width."""
    rows: Points
    """Shape (m,)."""
    known: Known
    """Shape (m, n)."""
    across: Points
    """Shape (m, n - 1): the column where the part with a place ends between two nodes of a row; else NaN."""
    down: Points
    """Shape (m - 1, n): the row where it ends between two nodes of a column; else NaN."""

    @property
    def is_whole(self) -> bool:
        """Whether all pixels have a place."""
        return bool(self.known.all())

    @property
    def points(self) -> tuple[Points, Points]:
        """Columns and rows, shape (k,), of all nodes with a place, and of the points where that part ends."""
        cols, rows = np.meshgrid(self.cols, self.rows)
        in_row, in_col = np.isfinite(self.across), np.isfinite(self.down)
        all_cols = cols[self.known], self.across[in_row], cols[:-1][in_col]
        all_rows = rows[self.known], rows[:, :-1][in_row], self.down[in_col]
        return np.concatenate(all_cols), np.concatenate(all_rows)

    @property
    def cells(self) -> Iterator[list[tuple[float, float]]]:
        """The parts with a place of the cells between nodes: columns and rows of three or more corners each."""
        some = self.known[:-1, :-1] | self.known[:-1, 1:] | self.known[1:, :-1] | self.known[1:, 1:]
        for r, c in np.argwhere(some):
            left, right, top, bottom = self.cols[c], self.cols[c + 1], self.rows[r], self.rows[r + 1]
            # Around the cell: each corner, and where the part with a place ends between it and the next.
            around = (
                (self.known[r, c], (left, top), (self.across[r, c], top)),
                (self.known[r, c + 1], (right, top), (right, self.down[r, c + 1])),
                (self.known[r + 1, c + 1], (right, bottom), (self.across[r + 1, c], bottom)),
                (self.known[r + 1, c], (left, bottom), (left, self.down[r, c])),
            )
            ring = []
            for known, corner, end in around:
                ring += [corner] if known else []
                ring += [end] if np.isfinite(end).all() else []
            if len(ring) >= 3:
                yield ring


def valid_area(crs: CRS, affine: Affine, width: int, height: int, operation: Operation) -> ValidArea | None:
    """Return the part of a grid that has a place in the target of an operation; None if no node has one.

    Parameters
    ----------
    crs
        CRS of the grid, geographic or projected.
    affine
        The geotransform.
    width, height
        Columns and rows.
    operation
        From `crs` to another.
    """
    is_known = partial(_leads_back, crs, affine, operation)
    # Not evenly: a pole in the middle of the raster would be a corner of cells, and have any longitude.
    steps = np.arange(NODES, dtype=np.float64)
    steps[1:-1] += 0.137
    cols, rows = steps * width / steps[-1], steps * height / steps[-1]
    all_cols, all_rows = np.meshgrid(cols, rows)
    # First at the centers of the outermost pixels: at 90 degrees north every longitude is one place, and at 180 degrees
    # east a place is at both ends of the world.
    inside = np.clip(all_cols, 0.5, width - 0.5), np.clip(all_rows, 0.5, height - 0.5)
    known = is_known(inside[0].ravel(), inside[1].ravel()).reshape(all_cols.shape)
    if not known.all():
        known = is_known(all_cols.ravel(), all_rows.ravel()).reshape(all_cols.shape)
    if not known.any():
        return None
    across, down = np.full((NODES, NODES - 1), np.nan), np.full((NODES - 1, NODES), np.nan)
    ends = known[:, 1:] != known[:, :-1]
    row = all_rows[:, :-1][ends]
    starts = _ordered(all_cols[:, :-1][ends], all_cols[:, 1:][ends], known[:, :-1][ends])
    across[ends] = _end(*starts, lambda at: is_known(at, row))
    ends = known[1:] != known[:-1]
    col = all_cols[:-1][ends]
    starts = _ordered(all_rows[:-1][ends], all_rows[1:][ends], known[:-1][ends])
    down[ends] = _end(*starts, lambda at: is_known(col, at))
    return ValidArea(cols, rows, known, across, down)


def _leads_back(crs: CRS, affine: Affine, operation: Operation, cols: Points, rows: Points) -> Known:
    """Whether the ways of positions to the target and back lead to themselves; all arrays have one shape (n,)."""
    # PROJ may take another operation back than there, which leads some hundred metres away; the ways of pixels without
    # a place of their own end on the other side of the world.
    slack = 0.05 if crs.is_geographic else 5_000.0 / crs.axis_info[0].unit_conversion_factor
    slack = max(slack, 0.5 * math.hypot(affine.a, affine.d), 0.5 * math.hypot(affine.b, affine.e))
    with np.errstate(invalid="ignore"):
        x, y = places(affine, cols, rows)
        back_x, back_y = operation.inverse(*operation.forward(x, y))
        if crs.is_geographic:
            # 180 and -180 degrees are one place.
            back_x = back_x - 360.0 * np.round((back_x - x) / 360.0)
        return np.asarray((np.abs(back_x - x) <= slack) & (np.abs(back_y - y) <= slack))


def _ordered(one: Points, other: Points, one_is_known: Known) -> tuple[Points, Points]:
    return np.where(one_is_known, one, other), np.where(one_is_known, other, one)


def _end(inside: Points, outside: Points, is_known: Callable[[Points], Known]) -> Points:
    """Return the last positions with a place between some that have one and some that have none, by bisection.

    All arrays have one shape (n,); `is_known` takes n positions and is asked HALVINGS times.
    """
    if not inside.size:
        return inside
    for _ in range(HALVINGS):
        middle = (inside + outside) / 2.0
        known = is_known(middle)
        inside, outside = np.where(known, middle, inside), np.where(known, outside, middle)
    return inside
