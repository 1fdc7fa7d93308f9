"""Warping, block by block: squares of one common grid, so that memory stays small and parts fit together bit for bit.

GDAL approximates the transformation within what it warps at once, so the same pixel differs when it lies in another
window; read in squares that are aligned to the grid, it is the same whether the whole is made or a tile of it.
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
TOLERANCE_PIXELS = 0.01
"""Of GDAL's approximation of the transformation. At its default of 0.125 one pixel in forty is its neighbour's;
this costs no time that can be measured."""


@contextmanager
def open_warped(dataset: DatasetReader, plan: RasterPlan, warp: WarpPlan) -> Iterator[WarpedVRT]:
    """Open a source as it looks on the grid of a plan; nothing is read yet."""
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
    """Tell whether warping must say apart from the values which pixels are valid: by a mask, no nodata, no alpha."""
    return plan.nodata.validity in ("mask", "all")


def read_block(warped: WarpedVRT, plan: RasterPlan, window: Window) -> tuple[Pixels, Validity | None]:
    """Warp one block; gives its bands and its mask, None where nodata or an alpha band says what is valid."""
    block: Pixels = warped.read(window=window)
    if adds_alpha(plan):
        return block[:-1], np.not_equal(block[-1], 0)
    return block, None


def warp_pixels(
    dataset: DatasetReader, plan: RasterPlan, warp: WarpPlan, writer: TileWriter, check: Callable[[], None]
) -> RasterStatistics:
    """Warp a whole raster into a file; gives the statistics of what was written. `check` may raise at every block."""
    statistics = RasterStatistics.empty(plan.facts.count)
    with open_warped(dataset, plan, warp) as warped:
        for window in windows(warp.grid.width, warp.grid.height, warp.side):
            check()
            block, mask = read_block(warped, plan, window)
            statistics.add(block, block_validity(plan, block, mask))
            writer.write(block, mask, window)
    return statistics


def block_validity(plan: RasterPlan, block: Pixels, mask: Validity | None) -> Validity | None:
    """Tell which values of a warped block are valid."""
    if plan.facts.alpha_band:
        mask = np.not_equal(block[plan.facts.alpha_band - 1], 0)
    return validity_of(block, plan.nodata.nodata, mask)
