"""Reach: which pixels of a source each block of an output grid is made of, as sampled, with room to spare. Pure.

What is fetched ahead, copied and passed over is decided by it. What GDAL reads of a remote file beyond it is fetched
when it is asked for, so that there an underestimate would cost time and no pixel.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pyproj import Transformer
from rasterio.windows import Window

from services.raster.planning.georeference import Grid, Points, places
from services.raster.source.facts import RasterFacts

SAMPLES = 11
"""Along each side of a block."""
MARGIN = 16.0
"""Pixels of the source that are added on each side of what was sampled."""
KERNEL = 4.0
"""Radius of the largest kernel, Lanczos, and one more, in pixels of the output."""
Boxes = npt.NDArray[np.int64]
"""First row, last row + 1, first column, last column + 1 in the last axis; all zeros for an empty box."""


@dataclass(frozen=True)
class Reach:
    """The boxes of the source's pixels that the blocks of a window of the grid touch."""

    boxes: Boxes
    """Rows of blocks, columns of blocks, 4."""
    sure: bool
    """Every block could be sampled as a whole."""

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """The box around all of them."""
        return box_around(self.boxes.reshape(-1, 4))

    @property
    def row_span(self) -> int:
        """Rows of the source that a row of blocks touches, at most."""
        spans = [box_around(row) for row in self.boxes]
        return max(last - first for first, last, _, _ in spans)


def reach_of(facts: RasterFacts, grid: Grid | None, to_target: Transformer | None, window: Window, side: int) -> Reach:
    """Give the boxes of the blocks of a window. Without a grid, or a way to it, the pixels stay where they are.

    The box of a block that cannot be sampled as a whole holds what could be.
    """
    tops = np.arange(window.row_off, window.row_off + window.height, side)
    lefts = np.arange(window.col_off, window.col_off + window.width, side)
    bottom, right = window.row_off + window.height, window.col_off + window.width
    boxes, sure = np.zeros((len(tops), len(lefts), 4), np.int64), True
    for (r, top), (c, left) in itertools.product(enumerate(tops), enumerate(lefts)):
        ends = min(top + side, bottom), min(left + side, right)
        if grid is None or to_target is None:
            boxes[r, c] = top, ends[0], left, ends[1]
        else:
            boxes[r, c], known = _box(facts, grid, to_target, (top, ends[0], left, ends[1]))
            sure = sure and known
    return Reach(boxes, sure)


def box_around(boxes: Boxes) -> tuple[int, int, int, int]:
    """Give the box around boxes, those that are empty left out."""
    full = boxes[boxes[:, 1] > boxes[:, 0]]
    if not len(full):
        return 0, 0, 0, 0
    first_row, _, first_col, _ = full.min(axis=0)
    _, last_row, _, last_col = full.max(axis=0)
    return int(first_row), int(last_row), int(first_col), int(last_col)


def _box(
    facts: RasterFacts, grid: Grid, to_target: Transformer, block: tuple[int, int, int, int]
) -> tuple[tuple[int, int, int, int], bool]:
    top, bottom, left, right = block
    cols, rows = np.meshgrid(np.linspace(left, right, SAMPLES), np.linspace(top, bottom, SAMPLES))
    found = to_target.transform(*places(grid.affine, cols.ravel(), rows.ravel()), direction="INVERSE")
    x, y = (np.asarray(values) for values in found)
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return (0, 0, 0, 0), False
    col, row = places(~facts.affine, x[known], y[known])
    # The edge of a block bends between two samples, and kernels grow with the scale.
    scale = max(np.ptp(row), np.ptp(col)) / max(bottom - top, right - left)
    spans = [_span(values, size, scale) for values, size in ((row, facts.height), (col, facts.width))]
    inside = all(first < last for first, last in spans)
    return ((*spans[0], *spans[1]) if inside else (0, 0, 0, 0)), bool(known.all())


def _span(values: Points, size: int, scale: float) -> tuple[int, int]:
    room = MARGIN + KERNEL * scale + float(np.ptp(values)) / SAMPLES
    return max(0, int(values.min() - room)), min(size, int(np.ceil(values.max() + room)))
