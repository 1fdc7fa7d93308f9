"""tile_raster: a raster of any size becomes tiles on one grid, a collection, and mosaics that open them as one."""

from __future__ import annotations

from typing import ClassVar

from controllers.jobs.tiling_parameters import TilingController
from schema.jobs import Json


class TileRaster(TilingController):
    """Cut a raster of any size into tiles on one grid, with a STAC item for each and mosaics of all.

    Stages: plan (1) -> tiles (one per tile) -> collect (1).
    """

    job_type = "tile_raster"
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "version_id": "tiles",
        "target_tile_size_gb": 0.0001,
    }
