"""Cloud Optimized GeoTIFFs: planned here, written by GDAL's COG driver, validated by rio-cogeo."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import rasterio
import rasterio.shutil
from rio_cogeo.cogeo import cog_validate

from schema.jobs import Json
from services.raster.errors import OutputFailed, writing
from services.raster.options import Profile
from services.raster.output.vrt import OutputHeader, vrt_text
from services.raster.planning.dtype import smallest_dtype
from services.raster.planning.georeference import Grid, Transform
from services.raster.planning.plan import RasterPlan
from services.raster.source.blocks import block_side
from services.raster.source.facts import ITEM_BYTES
from services.raster.source.gdal import WRITE_CACHE_BYTES, gdal_environment, threads
from services.raster.source.statistics import RasterStatistics

MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
# GDAL's LERC codec refuses all others.
_LERC_TYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_COMPRESSION = {"deflate": "DEFLATE", "zstd": "ZSTD", "lerc": "LERC_DEFLATE"}


@dataclass(frozen=True)
class CogPlan:
    """How a COG is written."""

    header: OutputHeader
    profile: Profile
    overviews: str
    """Resampling, as GDAL names it."""
    side: int
    """Of the square blocks, in pixels."""
    warnings: tuple[Json, ...] = ()


def plan_cog(plan: RasterPlan, statistics: RasterStatistics) -> CogPlan:
    """Decide header, data type, mask and profile of a COG by the statistics of all its pixels. Pure."""
    facts, warp = plan.facts, plan.warp
    dtype = facts.dtype
    # NaN is declared as nodata only where there is some.
    every_value_valid = all(band.valid == band.total for band in statistics.bands)
    nodata = None if plan.nodata.assumed and every_value_valid else plan.nodata.nodata
    if plan.options.optimize == "lossless":
        # After the warp, whose averages make fractions of integers.
        dtype = smallest_dtype(facts, statistics.bands, nodata)
    size = (warp.grid.width, warp.grid.height) if warp else (facts.width, facts.height)
    place = warp.grid.transform if warp else None if facts.georeference in ("gcps", "none") else facts.transform
    header, first = _header(plan, size, place), statistics.bands[0]
    # A warp may leave corners without data; where it left none, the mask would only cost space.
    with_mask = header.with_mask and (plan.nodata.validity == "mask" or statistics.covered < first.total)
    header = replace(header, dtype=dtype, nodata=nodata, with_mask=with_mask)
    return _cog(plan, header, plan.overviews)


def plan_tile_cog(plan: RasterPlan, grid: Grid) -> CogPlan:
    """Decide the same for a tile whose pixels are `grid`, by the header of the source alone. Pure."""
    # Tiles fit together only if data type, nodata, mask and overviews of none of them depend on its own pixels.
    size = grid.width, grid.height
    return _cog(plan, _header(plan, size, grid.transform), plan.overviews)


def _header(plan: RasterPlan, size: tuple[int, int], place: Transform | None) -> OutputHeader:
    facts, warp = plan.facts, plan.warp
    return OutputHeader(
        width=size[0],
        height=size[1],
        dtype=facts.dtype,
        crs_wkt=warp.grid.crs_wkt if warp else plan.native_crs_wkt,
        transform=place,
        gcps=() if warp else facts.gcps,
        bands=facts.bands,
        nodata=plan.nodata.nodata,
        with_mask=plan.nodata.validity == "mask" or (plan.nodata.validity == "all" and warp is not None),
        palette=facts.palette,
        tags=facts.tags,
        # The pixels of a warped grid are areas, whatever those of the source were.
        area_or_point="Area" if warp else facts.area_or_point,
        # They lead from places to pixels of the source.
        rpcs=() if warp else facts.rpcs,
    )


def _cog(plan: RasterPlan, header: OutputHeader, overviews: str) -> CogPlan:
    profile: Profile = plan.options.profile
    warnings: tuple[Json, ...] = ()
    if profile == "lerc" and header.dtype not in _LERC_TYPES:
        profile = "deflate"
        message = f"LERC does not support the data type {header.dtype}; the COG is compressed with deflate."
        warnings = ({"code": "profile_changed", "message": message, "count": 1},)
    item_bytes = ITEM_BYTES.get(header.dtype, plan.facts.item_bytes)
    return CogPlan(header, profile, overviews, block_side(item_bytes * plan.facts.count), warnings)


def write_cog(cog: CogPlan, pixels: Path, target: Path) -> None:
    """Write a COG from the pixels of a file of the same size. Raises DiskFull, OutputFailed."""
    # The header is written with the pixels: see vrt.py.
    bridge = target.with_suffix(".vrt")
    bridge.write_text(vrt_text(cog.header, pixels), encoding="utf-8")
    with (
        gdal_environment(WRITE_CACHE_BYTES),
        writing(target.parent),
        rasterio.open(bridge, driver="VRT") as source,
    ):
        rasterio.shutil.copy(source, target, driver="COG", **creation_options(cog))


def creation_options(cog: CogPlan) -> dict[str, str]:
    """Return the options of GDAL's COG driver: https://gdal.org/en/stable/drivers/raster/cog.html"""
    compression = _COMPRESSION[cog.profile]
    options = {
        "COMPRESS": compression,
        "OVERVIEW_COMPRESS": compression,
        "BLOCKSIZE": str(stored_side(cog)),
        **overview_options(cog),
        # GDAL cannot know the size of a compressed file before it is written; 4 GB is the end of a classic TIFF.
        "BIGTIFF": "IF_SAFER",
        "NUM_THREADS": threads(),
        # Blocks of nodata take no space, and readers skip them.
        "SPARSE_OK": "YES",
    }
    # LERC keeps every value only with an allowed error of 0; it takes no predictor.
    if cog.profile == "lerc":
        return {**options, "MAX_Z_ERROR": "0"}
    # GDAL has no predictor for complex numbers.
    predictor = "NO" if cog.header.dtype.startswith("complex") else "YES"
    return {**options, "PREDICTOR": predictor, "OVERVIEW_PREDICTOR": predictor}


def overview_options(cog: CogPlan) -> dict[str, str]:
    """Return the driver's options of overviews."""
    count = overview_count(cog)
    if not count:
        return {"OVERVIEWS": "NONE"}
    # Existing ones may be made with another resampling, or of pixels before they were warped.
    return {"OVERVIEWS": "IGNORE_EXISTING", "OVERVIEW_COUNT": str(count), "OVERVIEW_RESAMPLING": cog.overviews}


def overview_count(cog: CogPlan) -> int:
    """Return the number of overviews: each is half the one before, until a block holds it or a side is one pixel."""
    width, height = cog.header.width, cog.header.height
    count = 0
    while max(width, height) >> count > cog.side and min(width, height) >> (count + 1):
        count += 1
    return count


def stored_side(cog: CogPlan) -> int:
    """Return the side of the blocks in the file, in pixels: `side`, or three quarters of it."""
    # rasterio and rio-cogeo take a level for one in strips when it is exactly as wide as its blocks and higher, and
    # rio-cogeo calls the COG invalid. No raster has levels of both widths, since each level halves the one before.
    widths = {math.ceil(cog.header.width / 2**level) for level in range(overview_count(cog) + 1)}
    return cog.side * 3 // 4 if cog.side in widths and cog.header.height > cog.side else cog.side


def validate_cog(path: Path) -> Json:
    """Return what rio-cogeo finds in a file: {"valid": bool, "errors": [...], "warnings": [...]}."""
    valid, faults, warnings = cog_validate(path, quiet=True)
    return {"valid": bool(valid), "errors": list(faults), "warnings": list(warnings)}


def check_cog(path: Path) -> Json:
    """Check a COG that was just written, and return what rio-cogeo finds. Raises OutputFailed."""
    found = validate_cog(path)
    if not found["valid"]:
        raise OutputFailed(
            f"The COG that was written did not pass its validation: {'; '.join(found['errors'])}.",
            remediation="The task is retried; if it keeps failing, this is a bug in Geostage: please report it.",
        )
    return found
