"""Warping in square blocks that are aligned to the output grid: memory stays small, and tiles fit together bit for bit.

GDAL approximates the transformation within each window that it warps, so the value of a pixel depends on the window in
which it is computed. In blocks of the grid it is the same whether the whole raster is made or one tile of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from rasterio.enums import Resampling
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from services.raster.output.tiled_file import TileWriter
from services.raster.planning.plan import RasterPlan, WarpPlan
from services.raster.source.blocks import windows
from services.raster.source.gdal import threads
from services.raster.source.statistics import Pixels, RasterStatistics, Validity, validity_of

WARP_MEMORY_MB = 64
"""GDAL's default. A block needs less, unless the warp shrinks a raster very much; then GDAL splits it."""
TOLERANCE_PIXELS = 0.01
"""Allowed error of GDAL's approximation of the transformation. At its default of 0.125 one pixel in forty gets its
neighbor's value; the smaller one costs no time that can be measured."""


@contextmanager
def open_warped(dataset: DatasetReader, plan: RasterPlan, warp: WarpPlan) -> Iterator[WarpedVRT]:
    """Open a raster as it looks on the grid of a plan. No pixel is read before a window is."""
    options: dict[str, Any] = {
        "src_crs": warp.source_crs_wkt,
        "crs": warp.grid.crs_wkt,
        "resampling": Resampling[warp.resampling],
        "warp_mem_limit": WARP_MEMORY_MB,
        "tolerance": TOLERANCE_PIXELS,
        "NUM_THREADS": threads(),
        # Each band has its own gaps: a pixel that is nodata in one band may hold a value in another.
        "UNIFIED_SRC_NODATA": "NO",
    }
    if plan.facts.georeference != "gcps":
        # With a grid given, rasterio forgets the control points; without, it takes the grid that was planned with it.
        options |= {"transform": warp.grid.affine, "width": warp.grid.width, "height": warp.grid.height}
    if plan.nodata.nodata is not None:
        options |= {"src_nodata": plan.nodata.nodata, "nodata": plan.nodata.nodata}
    with WarpedVRT(dataset, add_alpha=adds_alpha(plan), **options) as warped:
        yield warped


def adds_alpha(plan: RasterPlan) -> bool:
    """Whether a warp needs a band of its own for valid pixels: the source has neither nodata nor alpha."""
    # Corners that a warp leaves empty must not count as pixels of 0, so a raster of valid pixels only gets a mask too.
    return plan.nodata.validity in ("mask", "all")


def read_block(warped: WarpedVRT, plan: RasterPlan, window: Window) -> tuple[Pixels, Validity | None]:
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

    `check` is called before each block, and raises to stop. Memory is that of a block and WARP_MEMORY_MB.
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
    """Return which values of a warped block are valid, as validity_of does; `mask` is that of read_block."""
    if plan.facts.alpha_band:
        mask = np.not_equal(block[plan.facts.alpha_band - 1], 0)
    return validity_of(block, plan.nodata.nodata, mask)
