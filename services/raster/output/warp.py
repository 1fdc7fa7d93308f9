"""Warping in square blocks that are aligned to the output grid: memory stays small, and tiles fit together bit for bit.

GDAL approximates the transformation within each window that it warps, so the value of a pixel depends on the window in
which it is computed, by what an error of TOLERANCE_PIXELS makes. In blocks of the grid it is the same whether the whole
raster is made or one tile of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import rasterio
from rasterio.io import DatasetReader
from rasterio.windows import Window

from services.raster.output.tiled_file import TileWriter
from services.raster.output.warp_vrt import TOLERANCE_PIXELS, adds_alpha, warp_vrt
from services.raster.planning.plan import RasterPlan, WarpPlan
from services.raster.source.blocks import windows
from services.raster.source.gdal import threads
from services.raster.source.statistics import Pixels, RasterStatistics, Validity, validity_of


@contextmanager
def open_warped(
    dataset: DatasetReader, plan: RasterPlan, warp: WarpPlan, tolerance: float = TOLERANCE_PIXELS
) -> Iterator[DatasetReader]:
    """Open a raster as it looks on the grid of a plan. No pixel is read before a window is.

    Parameters
    ----------
    dataset
        The open source; it stays open meanwhile, and GDAL opens its file once more.
    plan, warp
        See warp_vrt.
    tolerance
        In pixels of the source.
    """
    document = warp_vrt(plan, warp, dataset.name, threads(), tolerance)
    with rasterio.open(document, driver="VRT") as warped:
        yield warped


def read_block(warped: DatasetReader, plan: RasterPlan, window: Window) -> tuple[Pixels, Validity | None]:
    """Warp one block.

    Returns
    -------
    Pixels
        Shape (bands, rows, columns), in the data type of the source.
    Validity or None
        Shape (rows, columns); None where nodata or an alpha band of the source marks what is valid.
    """
    block: Pixels = warped.read(window=window)
    if adds_alpha(plan):
        return block[:-1], np.not_equal(block[-1], 0)
    return block, None


def warp_pixels(
    dataset: DatasetReader, plan: RasterPlan, warp: WarpPlan, writer: TileWriter, check: Callable[[], None]
) -> RasterStatistics:
    """Warp a whole raster into a file, and return the statistics of what was written.

    `check` is called before each block, and raises to stop. Memory is that of a block and WARP_MEMORY_BYTES.
    """
    statistics = RasterStatistics.empty(plan.facts.count)
    with open_warped(dataset, plan, warp) as warped:
        for window in windows(warp.grid.width, warp.grid.height, warp.side):
            check()
            block, mask = read_block(warped, plan, window)
            statistics.add(block, block_validity(plan, block, mask))
            writer.write(block, mask, window)
    return statistics


def block_validity(plan: RasterPlan, block: Pixels, mask: Validity | None) -> Validity | None:
    """Return which values of a warped block are valid.

    Parameters
    ----------
    plan
        Of the raster.
    block
        Shape (bands, rows, columns), as read_block returns it.
    mask
        As read_block returns it.

    Returns
    -------
    Shape of the block, or (rows, columns) for all bands alike; None when every value is valid.
    """
    if plan.facts.alpha_band:
        mask = np.not_equal(block[plan.facts.alpha_band - 1], 0)
    return validity_of(block, plan.nodata.nodata, mask)
