"""tile_raster: a raster of any size becomes tiles on one grid, a collection, and mosaics that open them as one."""

from __future__ import annotations

from controllers.jobs.tiling_parameters import TilingController


class TileRaster(TilingController):
    """plan (1) -> tiles (one per tile) -> collect (1)."""

    job_type = "tile_raster"
