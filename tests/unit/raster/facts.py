"""Facts of rasters that need no file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.raster.source.facts import BandFacts, RasterFacts

BAND = BandFacts("gray", None, None, 1.0, 0.0, ())
PLAIN = RasterFacts(
    driver="GTiff", width=1000, height=800, dtype="uint8", bands=(BAND,), crs_wkt=None, georeference="north_up",
    transform=(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_200_000.0), gcps=(), nodata=None, has_mask=False, palette=(),
    tags=(), area_or_point="Area", block_shape=(256, 256), tiled=True, interleave="band", compression="none",
    overviews=(), other_images=0,
)  # fmt: skip


def facts(*, colors: tuple[str, ...] = ("gray",), **changes: Any) -> RasterFacts:
    """A raster that differs from a plain one in what is named."""
    bands = tuple(replace(BAND, color=color) for color in colors)
    return replace(PLAIN, **{"bands": bands, **changes})
