"""Byte ranges of a TIFF's blocks: where the pixels under a box are stored, by the index of the file.

A TIFF stores its pixels either in strips or in tiles; both are called blocks here, as in GDAL. The tiles that a raster
is cut into here are something else. The index of the file has two numbers for each block, its offset (StripOffsets,
TileOffsets) and its bytes (StripByteCounts, TileByteCounts):

    band 1   +--------+--------+--------+      index    offset   bytes
             |   0    |   1    |   2    |        0         800   65536
             +--------+--------+--------+        1           0       0   missing
             |   3    |   4    |   5    |        2       66336   12020
             +--------+--------+--------+        ...

A missing block (GDAL's SPARSE_OK) has an offset and a size of 0, and reads as the file's nodata value, or else as 0:
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
MAX_BLOCKS = 1_000_000
"""GDAL returns the index one number at a time. That of a box with more blocks is not read: nothing is fetched ahead
then, nor skipped."""


@dataclass(frozen=True)
class BlockRanges:
    """The index of the blocks under a box of pixels."""

    first_row: int
    """Of the blocks in the index, counted in blocks."""
    first_col: int
    rows: int
    """Pixels of one block."""
    cols: int
    longest: int
    """The most bytes that a block can have. An index with more is damaged, and would have the whole file fetched."""
    ranges: npt.NDArray[np.int64] | None
    """Shape (rows of blocks, columns of blocks, bands that are stored apart, 2): first byte and last byte + 1; both 0
    for a missing one. None for more than MAX_BLOCKS."""

    def bytes_of(self, box: npt.NDArray[np.int64]) -> Iterator[Range]:
        """Return the bytes of the blocks under a box, shape (4,) as reach.Boxes; missing ones are left out."""
        if self.ranges is None:
            return iter(())
        found = self._cut(self.ranges, box).reshape(-1, 2)
        sizes = found[:, 1] - found[:, 0]
        return ((int(begin), int(end)) for begin, end in found[(sizes > 0) & (sizes <= self.longest)])

    def is_missing(self, box: npt.NDArray[np.int64]) -> bool:
        """Whether all blocks under a box, shape (4,) as reach.Boxes, are missing."""
        return self.ranges is not None and not bool(self._cut(self.ranges, box).any())

    def _cut(self, ranges: npt.NDArray[np.int64], box: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        first_row, last_row, first_col, last_col = (int(v) for v in box)
        top, bottom = first_row // self.rows - self.first_row, math.ceil(last_row / self.rows) - self.first_row
        left, right = first_col // self.cols - self.first_col, math.ceil(last_col / self.cols) - self.first_col
        return ranges[max(0, top) : bottom, max(0, left) : right]


def read_block_ranges(
    dataset: DatasetReader, facts: RasterFacts, box: tuple[int, int, int, int], max_blocks: int = MAX_BLOCKS
) -> BlockRanges:
    """Return the index of the blocks under a box from the header of an open raster.

    Parameters
    ----------
    dataset
        Open GeoTIFF; no pixel is read.
    facts
        Of the dataset.
    box
        First row, last row + 1, first column, last column + 1, in pixels of the source, as reach.Reach.whole has it.
    """
    first_row, last_row, first_col, last_col = box
    rows, cols = facts.block_shape
    tops = range(first_row // rows, math.ceil(last_row / rows))
    lefts = range(first_col // cols, math.ceil(last_col / cols))
    # With pixel interleaving a block holds all bands, and band 1 has the index of all.
    bands = range(1, 2 if facts.interleave == "pixel" else facts.count + 1)
    apart = facts.count if len(bands) == 1 else 1
    # Pixels that do not compress may grow; nothing doubles them.
    longest = 2 * rows * cols * facts.item_bytes * apart + 1024
    ranges = None
    if len(tops) * len(lefts) * len(bands) <= max_blocks:
        ranges = np.zeros((len(tops), len(lefts), len(bands), 2), np.int64)
        for place in np.ndindex(ranges.shape[:3]):
            col, row, band = lefts[place[1]], tops[place[0]], bands[place[2]]
            # Names of GDAL's GTiff driver; a missing block has neither tag.
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
            size = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
            if offset and size:
                ranges[place] = int(offset), int(offset) + int(size)
    return BlockRanges(tops.start, lefts.start, rows, cols, longest, ranges)


def missing_is_nodata(plan: RasterPlan) -> bool:
    """Whether missing blocks read as pixels that are not valid."""
    # GDAL does not show the index of a mask band, so with a mask everything is read.
    fill = plan.facts.nodata if plan.facts.nodata is not None else 0.0
    nodata = plan.nodata.nodata
    if plan.nodata.validity == "alpha":
        return fill == 0.0 and not nodata
    if plan.nodata.validity != "nodata" or nodata is None:
        return False
    return fill == nodata or (math.isnan(fill) and math.isnan(nodata))
