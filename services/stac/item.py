"""STAC items of COGs: made from the file that was written, with the extensions that describe it. Pure.

Raster v2 has no class in pystac's packages (theirs writes v1's raster:bands): its fields are written here, within the
`bands` of STAC 1.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pystac
from affine import Affine
from pyproj import CRS
from pystac.extensions.file import FileExtension
from pystac.extensions.processing import ProcessingExtension
from pystac.extensions.projection import ProjectionExtension
from pystac.extensions.render import Render, RenderExtension

from schema.jobs import Json
from services.raster.facts import RasterFacts, plain_number
from services.raster.statistics import BandStatistics, RasterStatistics
from services.stac.footprint import footprint
from services.stac.moments import Moment

RASTER_SCHEMA = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
ASSET = "data"
MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
_DATA_TYPES = {"complex_int16": "cint16", "complex64": "cfloat32", "complex128": "cfloat64"}


@dataclass(frozen=True)
class OutputFile:
    """A COG as it was written, and where it was published."""

    item_id: str
    collection_id: str
    href: str
    source: str
    """container/blob that it was made of."""
    facts: RasterFacts
    statistics: RasterStatistics
    size: int
    checksum: str
    """Multihash, hexadecimal."""
    moment: Moment
    processed_at: datetime
    software: dict[str, str]


def make_item(file: OutputFile) -> pystac.Item:
    """Describe an output. Raises PermanentError for one without a CRS: nothing says where it lies."""
    facts = file.facts
    crs = _crs_of(file)
    outline = footprint(file.href, crs, facts.affine, facts.width, facts.height)
    item = pystac.Item(
        id=file.item_id,
        geometry=outline.geometry,
        bbox=list(outline.bbox),
        datetime=file.moment.at,
        properties={"geostage:datetime_source": file.moment.origin, "geostage:source": file.source},
        collection=file.collection_id,
    )
    # An item of a collection must link to it; relative to the item's place in a STAC API, which writes its own.
    item.add_link(pystac.Link("collection", f"../../{file.collection_id}", media_type="application/json"))
    item.add_asset(ASSET, _asset(file))
    _project(item, facts, crs)
    _describe_file(item, file)
    _process(item, file)
    _render(item, file)
    item.stac_extensions.append(RASTER_SCHEMA)
    return item


def _crs_of(file: OutputFile) -> CRS:
    # The file was written with a CRS and a geotransform; it is read back, so this holds whatever was asked for.
    if file.facts.crs_wkt is None or file.facts.georeference not in ("north_up", "rotated"):
        raise ValueError(f"{file.href} has no place on Earth")
    return CRS.from_wkt(file.facts.crs_wkt)


def _asset(file: OutputFile) -> pystac.Asset:
    facts = file.facts
    fields: dict[str, Any] = {
        "data_type": _DATA_TYPES.get(facts.dtype, facts.dtype),
        "raster:sampling": facts.area_or_point.lower(),
        "raster:spatial_resolution": abs(facts.transform[0]) or abs(facts.transform[1]),
        "bands": [_band(file, index) for index in range(facts.count)],
    }
    if facts.nodata is not None:
        fields["nodata"] = plain_number(facts.nodata)
    return pystac.Asset(file.href, title="Cloud Optimized GeoTIFF", media_type=MEDIA_TYPE, roles=["data"],
                        extra_fields=fields)  # fmt: skip


def _band(file: OutputFile, index: int) -> Json:
    band, seen = file.facts.bands[index], file.statistics.bands[index]
    fields: Json = {"name": band.description or f"b{index + 1}", "geostage:color_interpretation": band.color}
    if band.unit:
        fields["unit"] = band.unit
    if (band.scale, band.offset) != (1.0, 0.0):
        fields |= {"raster:scale": band.scale, "raster:offset": band.offset}
    statistics = _statistics(seen)
    return {**fields, "statistics": statistics} if statistics else fields


def _statistics(seen: BandStatistics) -> Json:
    if seen.minimum is None or seen.maximum is None:
        return {}
    numbers = {"minimum": seen.minimum, "maximum": seen.maximum, "mean": seen.mean}
    known = {key: plain_number(value) for key, value in numbers.items()}
    # An infinite minimum has no place in JSON.
    finite = {key: value for key, value in known.items() if isinstance(value, (int, float))}
    return {**finite, "valid_percent": round(100.0 * seen.valid / seen.total, 6)}


def _project(item: pystac.Item, facts: RasterFacts, crs: CRS) -> None:
    projection = ProjectionExtension.ext(item, add_if_missing=True)
    authority = crs.to_authority(min_confidence=70)
    bounds = _bounds(facts.affine, facts.width, facts.height)
    projection.apply(
        code=":".join(authority) if authority else None,
        wkt2=None if authority else crs.to_wkt(),
        bbox=bounds,
        shape=[facts.height, facts.width],
        transform=[*facts.transform, 0.0, 0.0, 1.0],
    )


def _bounds(affine: Affine, width: int, height: int) -> list[float]:
    corners = [affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return [min(xs), min(ys), max(xs), max(ys)]


def _describe_file(item: pystac.Item, file: OutputFile) -> None:
    asset = item.assets[ASSET]
    FileExtension.ext(asset, add_if_missing=True).apply(size=file.size, checksum=file.checksum)


def _process(item: pystac.Item, file: OutputFile) -> None:
    ProcessingExtension.ext(item, add_if_missing=True).apply(
        lineage=f"Made of {file.source}.", software=file.software, processing_datetime=file.processed_at
    )


def _render(item: pystac.Item, file: OutputFile) -> None:
    facts = file.facts
    shown = [band for band in file.statistics.bands[:3] if band.minimum is not None]
    ranges = [[plain_number(band.minimum), plain_number(band.maximum)] for band in shown]
    render = Render({})
    render.apply(
        assets=[ASSET],
        title="Default",
        rescale=None if facts.palette or not _finite(ranges) else ranges,  # type: ignore[arg-type]
        colormap={str(value): list(color) for value, color in facts.palette} or None,
        nodata=plain_number(facts.nodata),
    )
    RenderExtension.ext(item, add_if_missing=True).apply({"default": render})


def _finite(ranges: list[list[Any]]) -> bool:
    return bool(ranges) and all(isinstance(value, (int, float)) for pair in ranges for value in pair)
