"""Striles: the strips or tiles that a TIFF's pixels are stored in, where each lies in the file, and which are missing.

A missing one (SPARSE_OK) has neither offset nor bytes, and reads as the file's nodata value, or 0:
https://gdal.org/en/stable/drivers/raster/gtiff.html#sparse-files
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from rasterio.io import DatasetReader

from services.raster.planning.plan import RasterPlan
from services.raster.source.facts import RasterFacts

Range = tuple[int, int]
"""First byte, last byte + 1."""


MAX_STRILES = 1_000_000
"""With more of them in a box its index is left alone: nothing of it is fetched ahead or passed over."""


@dataclass(frozen=True)
class Striles:
    """The index of the striles that a box of pixels lies in."""

    first_row: int
    first_col: int
    rows: int
    """Pixels of one strile."""
    cols: int
    longest: int
    """Bytes that a strile can have; an index that says more is not believed."""
    ranges: npt.NDArray[np.int64] | None
    """Rows of striles, columns, bands that are stored apart, then begin and end; both 0 for a missing one."""

    def bytes_of(self, box: npt.NDArray[np.int64]) -> Iterator[Range]:
        """Give where the striles of a box are stored, those that are missing left out."""
        if self.ranges is None:
            return iter(())
        found = self._cut(self.ranges, box).reshape(-1, 2)
        sizes = found[:, 1] - found[:, 0]
        return ((int(begin), int(end)) for begin, end in found[(sizes > 0) & (sizes <= self.longest)])

    def is_missing(self, box: npt.NDArray[np.int64]) -> bool:
        """Tell whether no strile of a box is stored."""
        return self.ranges is not None and not bool(self._cut(self.ranges, box).any())

    def _cut(self, ranges: npt.NDArray[np.int64], box: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        first_row, last_row, first_col, last_col = (int(v) for v in box)
        top, bottom = first_row // self.rows - self.first_row, math.ceil(last_row / self.rows) - self.first_row
        left, right = first_col // self.cols - self.first_col, math.ceil(last_col / self.cols) - self.first_col
        return ranges[max(0, top) : bottom, max(0, left) : right]


def read_striles(dataset: DatasetReader, facts: RasterFacts, box: tuple[int, int, int, int]) -> Striles:
    """Read the index of the striles of a box from the header: two numbers for each."""
    first_row, last_row, first_col, last_col = box
    rows, cols = facts.block_shape
    tops = range(first_row // rows, math.ceil(last_row / rows))
    lefts = range(first_col // cols, math.ceil(last_col / cols))
    bands = range(1, 2 if facts.interleave == "pixel" else facts.count + 1)
    apart = facts.count if len(bands) == 1 else 1
    # What does not compress may grow a little.
    longest = 2 * rows * cols * facts.item_bytes * apart + 1024
    ranges = None
    if len(tops) * len(lefts) * len(bands) <= MAX_STRILES:
        ranges = np.array([[[_range(dataset, r, c, b) for b in bands] for c in lefts] for r in tops], np.int64)
        ranges = ranges.reshape(len(tops), len(lefts), len(bands), 2)
    return Striles(tops.start, lefts.start, rows, cols, longest, ranges)


def _range(dataset: DatasetReader, row: int, col: int, band: int) -> Range:
    offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
    size = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
    return (int(offset), int(offset) + int(size)) if offset and size else (0, 0)


def missing_is_nodata(plan: RasterPlan) -> bool:
    """Tell whether missing striles read as pixels that do not count.

    The index of a mask is not to be had, so one with a mask is read whatever is missing.
    """
    fill = plan.facts.nodata if plan.facts.nodata is not None else 0.0
    nodata = plan.nodata.nodata
    if plan.nodata.validity == "alpha":
        return fill == 0.0 and not nodata
    if plan.nodata.validity != "nodata" or nodata is None:
        return False
    return fill == nodata or (math.isnan(fill) and math.isnan(nodata))
