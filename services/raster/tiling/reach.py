"""Reach: the box of source pixels under each block of an output grid, by samples and with a margin. Pure.

It decides which bytes are fetched ahead, which strips are copied, and which blocks are skipped as empty. For fetching,
too small a box costs only time, since GDAL reads the rest of the remote file when it needs it. For copying and skipping
it would cost pixels; hence the margins.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rasterio.windows import Window

from services.crs import Operation
from services.raster.planning.georeference import Grid, places
from services.raster.source.facts import RasterFacts

SAMPLES = 11
"""Along each side of a block, 121 in all."""
MARGIN = 16.0
"""Pixels of the source that are added on each side of the sampled box."""
KERNEL = 4.0
"""Pixels of the output: the radius of the largest resampling kernel, that of Lanczos (3), and one more."""
Boxes = npt.NDArray[np.int64]
"""Shape (..., 4): first row, last row + 1, first column, last column + 1, in pixels of the source; zeros: empty."""


@dataclass(frozen=True)
class Reach:
    """The boxes of source pixels under the blocks of a window of the grid."""

    boxes: Boxes
    """Shape (rows of blocks, columns of blocks, 4)."""
    sure: bool
    """Whether all samples of every block have a position in the source's CRS."""

    @property
    def whole(self) -> tuple[int, int, int, int]:
        """The box around all of them."""
        return box_around(self.boxes.reshape(-1, 4))

    @property
    def row_span(self) -> int:
        """The most rows of the source that lie under one row of blocks."""
        spans = [box_around(row) for row in self.boxes]
        return max(last - first for first, last, _, _ in spans)


def reach_of(facts: RasterFacts, grid: Grid | None, operation: Operation | None, window: Window, side: int) -> Reach:
    """Return the boxes under the blocks of a window.

    Parameters
    ----------
    facts
        Of the source.
    grid
        Of the output; None when pixels stay where they are, and each box is its block.
    operation
        From the CRS of the source to that of the grid; None as for `grid`.
    window
        Of the output grid, aligned to its blocks.
    side
        Of the blocks, in pixels.

    Returns
    -------
    Reach
        The box of a block that cannot be sampled as a whole holds the samples that have a position.
    """
    tops = np.arange(window.row_off, window.row_off + window.height, side)
    lefts = np.arange(window.col_off, window.col_off + window.width, side)
    bottom, right = window.row_off + window.height, window.col_off + window.width
    boxes, sure = np.zeros((len(tops), len(lefts), 4), np.int64), True
    for (r, top), (c, left) in itertools.product(enumerate(tops), enumerate(lefts)):
        ends = min(top + side, bottom), min(left + side, right)
        if grid is None or operation is None:
            boxes[r, c] = top, ends[0], left, ends[1]
        else:
            boxes[r, c], known = _box(facts, grid, operation, (top, ends[0], left, ends[1]))
            sure = sure and known
    return Reach(boxes, sure)


def box_around(boxes: Boxes) -> tuple[int, int, int, int]:
    """Return the box around `boxes`, shape (n, 4), without the empty ones."""
    full = boxes[boxes[:, 1] > boxes[:, 0]]
    if not len(full):
        return 0, 0, 0, 0
    first_row, _, first_col, _ = full.min(axis=0)
    _, last_row, _, last_col = full.max(axis=0)
    return int(first_row), int(last_row), int(first_col), int(last_col)


def _box(
    facts: RasterFacts, grid: Grid, operation: Operation, block: tuple[int, int, int, int]
) -> tuple[tuple[int, int, int, int], bool]:
    top, bottom, left, right = block
    cols, rows = np.meshgrid(np.linspace(left, right, SAMPLES), np.linspace(top, bottom, SAMPLES))
    x, y = operation.inverse(*places(grid.affine, cols.ravel(), rows.ravel()))
    known = np.isfinite(x) & np.isfinite(y)
    if not known.any():
        return (0, 0, 0, 0), False
    col, row = places(~facts.affine, x[known], y[known])
    # The edge of a block bends between two samples, and kernels grow with the scale.
    scale = max(np.ptp(row), np.ptp(col)) / max(bottom - top, right - left)
    spans = []
    for values, size in ((row, facts.height), (col, facts.width)):
        room = MARGIN + KERNEL * scale + float(np.ptp(values)) / SAMPLES
        spans.append((max(0, int(values.min() - room)), min(size, int(np.ceil(values.max() + room)))))
    inside = all(first < last for first, last in spans)
    return ((*spans[0], *spans[1]) if inside else (0, 0, 0, 0)), bool(known.all())
