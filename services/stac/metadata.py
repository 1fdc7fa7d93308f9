"""Metadata: everything that a file's header says, and where it lies as far as it says that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pyproj import CRS
from rasterio.io import DatasetReader

from repositories.storage.blobs import Blobs
from schema.errors import PermanentError
from schema.jobs import Json, Source
from services.containers.kinds import kind_of
from services.crs import crs_label
from services.raster.planning.georeference import source_crs
from services.raster.source.facts import bounds_of, describe, facts_of
from services.raster.source.gdal import gdal_environment
from services.raster.source.remote import open_remote
from services.stac.file_records import has_cog_layout, outline_of_points
from services.stac.items.footprint import Footprint, footprint, joined
from services.stac.items.vector_layers import contents_of, describe_read, read_layers


def describe_file(blobs: Blobs, source: Source, work_folder: Path, check: Callable[[], None]) -> Json:
    """Describe a source: a raster by its header, by range requests; a vector file by one pass over its features.

    Raises PermanentError for a file that cannot be read. A file whose place on Earth is not known is described too.
    """
    if kind_of(source.blob) == "raster":
        with gdal_environment(), open_remote(blobs, source) as dataset:
            return _raster(source.label, dataset)
    layers = read_layers(blobs, source, work_folder, check)
    place = _place(lambda: joined([content.outline for content in contents_of(source.label, layers)]))
    return {"vector": {"layers": [describe_read(layer) for layer in layers]}, "place": place}


def _raster(label: str, dataset: DatasetReader) -> Json:
    facts = facts_of(dataset)
    crs = CRS.from_wkt(facts.crs_wkt) if facts.crs_wkt else None
    placed = facts.georeference in ("north_up", "rotated")
    more = {
        "crs": crs_label(crs) if crs else None,
        "crs_wkt": facts.crs_wkt,
        "bounds": bounds_of(facts.affine, facts.width, facts.height) if placed else None,
        "control_points": len(facts.gcps),
        "cog_layout": has_cog_layout(dataset),
        "other_images": facts.other_images,
        "image_structure": dict(dataset.tags(ns="IMAGE_STRUCTURE")),
        "band_tags": [dict(band.tags) for band in facts.bands],
    }

    def outline() -> Footprint:
        crs = source_crs(label, facts, None).crs
        points = outline_of_points(label, dataset, facts, crs)
        return points or footprint(label, crs, facts.affine, facts.width, facts.height)

    return {"raster": {**describe(facts), **more}, "place": _place(outline)}


def _place(outline: Callable[[], Footprint]) -> Json:
    """Return where a file lies in longitude and latitude, or why that is not known."""
    try:
        found = outline()
    except PermanentError as exc:
        return {"known": False, "code": exc.error_code, "reason": exc.message}
    return {"known": True, "bbox": list(found.bbox), "geometry": found.geometry}
