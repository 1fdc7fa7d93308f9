"""A scan reads every block of a source once: for statistics, damaged blocks and, if wanted, a copy in tiles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from services.raster.errors import GDAL_ERRORS, damaged
from services.raster.source.blocks import chunks, parts
from services.raster.source.facts import RasterFacts
from services.raster.source.statistics import Pixels, RasterStatistics, Validity, validity_of

LISTED_BLOCKS = 20
"""Damaged blocks that validate_raster lists; the others are counted."""
Sink = Callable[[Pixels, Validity | None, Window], None]
"""Is called with each chunk, shape (bands, rows, columns), its mask, shape (rows, columns) or None, and its window."""


@dataclass
class Scan:
    """The findings of a scan."""

    statistics: RasterStatistics
    blocks: int = 0
    damaged: int = 0
    first_damaged: list[Window] = field(default_factory=list)
    """At most LISTED_BLOCKS of the damaged blocks."""


def scan(
    dataset: DatasetReader,
    facts: RasterFacts,
    nodata: float | None,
    check: Callable[[], None],
    sink: Sink | None = None,
) -> Scan:
    """Read every block once; damaged ones are counted and skipped.

    Parameters
    ----------
    dataset
        Open raster.
    facts
        Of the dataset.
    nodata
        Value that is not valid, None without one.
    check
        Called before each chunk; it raises to stop the scan.
    sink
        Takes each chunk that can be read as a whole. After damage what it has received is not complete.

    Returns
    -------
    Scan
        Statistics of all values that could be read. Memory is that of a chunk, see blocks.chunk_shape.
    """
    found = Scan(RasterStatistics.empty(facts.count))
    for window in chunks(facts):
        check()
        try:
            _take(dataset, facts, nodata, window, found, sink)
        except GDAL_ERRORS:
            # Block by block, to name the damaged ones and count the rest of the chunk.
            for part in parts(window, facts.block_shape):
                try:
                    _take(dataset, facts, nodata, part, found, None)
                except GDAL_ERRORS:
                    found.damaged += 1
                    if len(found.first_damaged) < LISTED_BLOCKS:
                        found.first_damaged.append(part)
        found.blocks += sum(1 for _ in parts(window, facts.block_shape))
    return found


def read_mask(dataset: DatasetReader, facts: RasterFacts, window: Window) -> Validity | None:
    """Return which pixels of a window are valid by its alpha or mask band.

    Parameters
    ----------
    dataset
        Open raster.
    facts
        Of the dataset.
    window
        In pixels of the dataset.

    Returns
    -------
    Validity or None
        Shape (rows, columns); None without alpha and mask.

    Raises
    ------
    RasterioError
        The window cannot be read.
    """
    if facts.alpha_band:
        alpha: Pixels = dataset.read(facts.alpha_band, window=window)
        return np.not_equal(alpha, 0)
    return np.not_equal(dataset.read_masks(1, window=window), 0) if facts.has_mask else None


def _take(
    dataset: DatasetReader, facts: RasterFacts, nodata: float | None, window: Window, found: Scan, sink: Sink | None
) -> None:
    block = dataset.read(window=window)
    mask = read_mask(dataset, facts, window)
    found.statistics.add(block, validity_of(block, nodata, mask))
    if sink:
        sink(block, mask, window)


def block_name(window: Window, facts: RasterFacts) -> str:
    """Return the name of a block for messages: its place among the blocks, and that of its first pixel."""
    rows, cols = facts.block_shape
    place = f"block row {int(window.row_off) // rows}, column {int(window.col_off) // cols}"
    return f"{place} (pixels {int(window.col_off)}, {int(window.row_off)})"


def check_undamaged(label: str, found: Scan, facts: RasterFacts) -> None:
    """Check that a scan could read every block. Raises PermanentError raster_damaged, which names the first one."""
    if found.damaged:
        raise damaged(label=label, count=found.damaged, first=block_name(found.first_damaged[0], facts))
