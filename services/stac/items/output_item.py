"""STAC items of outputs: COGs that a job made from a source, read back before they are published."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pystac
import rasterio

from schema.jobs import Source
from schema.version import VERSION
from services.raster.source.facts import facts_of
from services.raster.source.gdal import gdal_environment, open_tiff
from services.raster.source.statistics import RasterStatistics
from services.stac.items.datetimes import datetime_of
from services.stac.items.item import Processing, StoredFile, checksum_of
from services.stac.items.raster_item import COG_TITLE, COG_TYPE, RasterContent, make_raster_item


@dataclass(frozen=True)
class Output:
    """A finished COG in a local folder."""

    path: Path
    href: str
    """Link to the blob that it will be published as."""
    source: Source
    """The blob that it was made from."""
    statistics: RasterStatistics
    """Of its pixels, as they were written."""


def make_output_item(output: Output, item_id: str, collection_id: str) -> pystac.Item:
    """Return the item of an output. Reads the file's header, and all of its bytes for the checksum."""
    # Read back, so that the item describes what was written and not what was asked for.
    with gdal_environment(), open_tiff(output.path) as dataset:
        facts = facts_of(dataset)
    now = datetime.now(UTC)
    file = StoredFile(
        item_id=item_id,
        collection_id=collection_id,
        href=output.href,
        source=output.source.label,
        size=output.path.stat().st_size,
        checksum=checksum_of(output.path),
        dated=datetime_of(dict(facts.tags), output.source.blob, output.source.last_modified, now),
        media_type=COG_TYPE,
        title=COG_TITLE,
        processing=Processing(now, {"geostage": VERSION, "GDAL": rasterio.__gdal_version__}),
    )
    return make_raster_item(file, RasterContent(facts, output.statistics))
