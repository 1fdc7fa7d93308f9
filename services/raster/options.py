"""What a job asks of a raster. Pure: controllers make it, and handlers plan by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from schema.json_data import JsonData

Profile = Literal["deflate", "zstd", "lerc"]


@dataclass(frozen=True)
class Options(JsonData):
    """What the job asks for; the names are those of its parameters, and what is not given has its default."""

    target_crs: str = "EPSG:4326"
    source_crs: str | None = None
    resampling: str | None = None
    profile: Profile = "deflate"
    nodata: float | str | None = None
    optimize: Literal["lossless", "none"] = "lossless"
    max_raster_size_gb: float | None = None


@dataclass(frozen=True)
class RasterTask(Options):
    """The parameters of a task on a whole raster: the options, and the names of what it makes."""

    version_id: str | None = None
    collection_id: str | None = None
