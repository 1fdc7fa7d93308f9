"""process_large_raster: what process_raster does, in tiles, with a raster that is too large for one task."""

from __future__ import annotations

from controllers.jobs.tiling_parameters import TilingController


class ProcessLargeRaster(TilingController):
    """plan (1) -> tiles (one per tile) -> collect (1)."""

    job_type = "process_large_raster"
    only_large = True
