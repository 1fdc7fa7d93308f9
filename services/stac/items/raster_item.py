"""STAC items of rasters: what the file's header says, and statistics where its pixels were read. Pure.

Raster v2 has no class in pystac's packages (theirs writes v1's raster:bands): its fields are written here, within the
`bands` of STAC 1.1.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pystac
from pyproj import CRS
from pystac.extensions.render import Render, RenderExtension

from schema.jobs import Json
from services.crs import horizontal
from services.raster.source.facts import RasterFacts, bounds_of, plain_number
from services.raster.source.statistics import BandStatistics, RasterStatistics
from services.stac.ids import ASSET
from services.stac.items.footprint import Footprint, footprint
from services.stac.items.item import StoredFile, new_item, project

RASTER_SCHEMA = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
COG_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
COG_TITLE = "Cloud Optimized GeoTIFF"
TIFF_TYPE = "image/tiff; application=geotiff"
TIFF_TITLE = "GeoTIFF"
# GDAL's complex types by the names of STAC's data_type.
_DATA_TYPES = {"complex_int16": "cint16", "complex64": "cfloat32", "complex128": "cfloat64"}


@dataclass(frozen=True)
class RasterContent:
    """What is in a raster."""

    facts: RasterFacts
    statistics: RasterStatistics | None = None
    """None where the header alone was read."""
    outline: Footprint | None = None
    """Where it lies, if it has ground control points instead of a geotransform."""


def make_raster_item(file: StoredFile, raster: RasterContent) -> pystac.Item:
    """Return the item of a raster.

    Raises
    ------
    PermanentError
        Its coordinates lie nowhere on Earth.
    ValueError
        It has no CRS or neither geotransform nor outline; callers have checked that.
    """
    facts = raster.facts
    # An output was written with a CRS and a geotransform; it is read back, so this holds whatever was asked for.
    placed = raster.outline or facts.georeference in ("north_up", "rotated")
    if facts.crs_wkt is None or not placed:
        raise ValueError(f"{file.href} has no place on Earth")
    crs = CRS.from_wkt(facts.crs_wkt)
    outline = raster.outline or footprint(file.source, crs, facts.affine, facts.width, facts.height)
    item = new_item(file, outline)
    resolution = None if raster.outline else ground_resolution(crs, facts)
    item.assets[ASSET].extra_fields |= _fields(raster, resolution)
    if resolution is not None:
        item.properties["gsd"] = resolution
    if raster.outline:
        project(item, crs, shape=[facts.height, facts.width])
    else:
        bounds = bounds_of(facts.affine, facts.width, facts.height)
        transform = [*facts.transform, 0.0, 0.0, 1.0]
        project(item, crs, bbox=bounds, shape=[facts.height, facts.width], transform=transform)
    if raster.statistics:
        _render(item, facts, raster.statistics)
    item.stac_extensions.append(RASTER_SCHEMA)
    return item


def ground_resolution(crs: CRS, facts: RasterFacts) -> float | None:
    """Return the size of a raster's pixels on the ground, in metres: of the longer side, at the middle of the raster.

    Projected pixels are measured in units of their CRS, others along geodesics. None where there is no ground.
    """
    a, b, _, d, e, _ = facts.transform
    if not horizontal(crs).is_geographic:
        units = [axis.unit_conversion_factor for axis in horizontal(crs).axis_info]
        return round(max(math.hypot(a * units[0], d * units[1]), math.hypot(b * units[0], e * units[1])), 6)
    geod = crs.get_geod()
    if geod is None:
        return None
    # Coordinates in degrees, whatever the unit of the CRS is: some count in grads.
    degrees = math.degrees(horizontal(crs).axis_info[0].unit_conversion_factor)
    middle = facts.width / 2, facts.height / 2
    sides = []
    for across, down in ((0.5, 0.0), (0.0, 0.5)):
        ends = [facts.affine @ (middle[0] + sign * across, middle[1] + sign * down) for sign in (-1, 1)]
        (lon, lat), (lon_end, lat_end) = ((x * degrees, min(90.0, max(-90.0, y * degrees))) for x, y in ends)
        sides.append(geod.inv(lon, lat, lon_end, lat_end)[2])
    return round(max(sides), 6) or None


def _fields(raster: RasterContent, resolution: float | None) -> Json:
    facts = raster.facts
    fields: Json = {
        "data_type": _DATA_TYPES.get(facts.dtype, facts.dtype),
        "raster:sampling": facts.area_or_point.lower(),
        "bands": [_band(raster, index) for index in range(facts.count)],
    }
    if resolution is not None:
        fields["raster:spatial_resolution"] = resolution
    if facts.nodata is not None:
        fields["nodata"] = plain_number(facts.nodata)
    return fields


def _band(raster: RasterContent, index: int) -> Json:
    band = raster.facts.bands[index]
    fields: Json = {"name": band.description or f"b{index + 1}", "geostage:color_interpretation": band.color}
    if band.unit:
        fields["unit"] = band.unit
    if (band.scale, band.offset) != (1.0, 0.0):
        fields |= {"raster:scale": band.scale, "raster:offset": band.offset}
    statistics = _statistics(raster.statistics.bands[index]) if raster.statistics else {}
    return {**fields, "statistics": statistics} if statistics else fields


def _statistics(seen: BandStatistics) -> Json:
    if seen.minimum is None or seen.maximum is None:
        return {}
    numbers = {"minimum": seen.minimum, "maximum": seen.maximum, "mean": seen.mean}
    known = {key: plain_number(value) for key, value in numbers.items()}
    # An infinite minimum has no place in JSON.
    finite = {key: value for key, value in known.items() if isinstance(value, (int, float))}
    return {**finite, "valid_percent": round(100.0 * seen.valid / seen.total, 6)}


def _render(item: pystac.Item, facts: RasterFacts, statistics: RasterStatistics) -> None:
    # A viewer maps the first three bands to red, green and blue.
    shown = [band for band in statistics.bands[:3] if band.minimum is not None]
    ranges = [[plain_number(band.minimum), plain_number(band.maximum)] for band in shown]
    # A palette says itself how values are shown; an infinite minimum or maximum has no number in JSON.
    finite = all(isinstance(value, (int, float)) for pair in ranges for value in pair)
    is_shown = bool(ranges) and finite and not facts.palette
    render = Render({})
    render.apply(
        assets=[ASSET],
        title="Default",
        rescale=ranges if is_shown else None,  # type: ignore[arg-type]
        colormap={str(value): list(color) for value, color in facts.palette} or None,
        nodata=plain_number(facts.nodata),
    )
    RenderExtension.ext(item, add_if_missing=True).apply({"default": render})
