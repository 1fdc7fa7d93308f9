"""process_large_raster: what process_raster does, in tiles, with a raster that is too large for one task."""

from __future__ import annotations

from typing import ClassVar

from controllers.jobs.tiling_parameters import LargeParameters, TilingController
from schema.jobs import Json


class ProcessLargeRaster(TilingController):
    """Do what process_raster does in tiles, with a raster that is too large for one task.

    Stages: plan (1) -> tiles (one per tile) -> collect (1).
    """

    job_type = "process_large_raster"
    Parameters = LargeParameters
    only_large = True
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "version_id": "large",
        "max_raster_size_gb": 0.0001,
        "target_tile_size_gb": 0.0001,
    }
