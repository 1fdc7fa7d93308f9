"""Records of files as they are: what storage says of one, what its header says, or all of its data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath

import pystac
from pyproj import CRS
from rasterio.io import DatasetReader

from schema.errors import PermanentError
from schema.jobs import Json
from services.containers.batches import SourceFile
from services.containers.details import Detail, effective
from services.containers.kinds import kind_of
from services.context import TaskContext
from services.raster import errors
from services.raster.output.cog import validate_cog
from services.raster.planning.georeference import plan_grid, source_crs
from services.raster.planning.nodata import plan_nodata
from services.raster.planning.plan import check_blocks, check_size
from services.raster.source.facts import RasterFacts, facts_of
from services.raster.source.gdal import gdal_environment
from services.raster.source.remote import fetch, open_fetched, open_remote
from services.raster.source.scan import check_undamaged, scan
from services.stac.ids import source_item_id
from services.stac.items.datetimes import moment_of
from services.stac.items.footprint import Footprint, footprint
from services.stac.items.item import StoredFile, new_item
from services.stac.items.raster_item import COG_TITLE, COG_TYPE, TIFF_TITLE, TIFF_TYPE, RasterContent, make_raster_item
from services.stac.items.vector_item import make_vector_item
from services.stac.items.vector_layers import contents_of, read_layers
from services.stac.publish import checksum_of, href_of
from services.vector.formats import format_of

_WGS84 = CRS("EPSG:4326")
_REMEDIES = {
    "crs_missing": "Write the CRS into the file (gdal_translate -a_srs EPSG:32633; for a shapefile add its .prj), "
    "or load it with process_raster or process_vector, which take source_crs.",
    "raster_too_large": "Submit stac_item_smart or catalog_file, which read only the header of a large raster.",
    "crs_not_transformable": "Correct the CRS in the file (gdal_edit.py -a_srs EPSG:32633), and upload it anew.",
    "crs_unknown": "Correct the CRS in the file, or load it with process_vector, which takes source_crs.",
    "coordinates_missing": "Name the columns latitude and longitude, or wkt, or load it with process_vector, which "
    "takes latitude_column, longitude_column and wkt_column.",
}
"""What helps here; the usual advice names parameters that catalogue jobs do not have."""
_MEDIA_TYPES = {
    ".gpkg": "application/geopackage+sqlite3",
    ".geojson": "application/geo+json",
    ".geojsonl": "application/geo+json-seq",
    ".ndjson": "application/geo+json-seq",
    ".json": "application/geo+json",
    ".kml": "application/vnd.google-earth.kml+xml",
    ".kmz": "application/vnd.google-earth.kmz",
    ".fgb": "application/vnd.flatgeobuf",
    ".parquet": "application/vnd.apache.parquet",
    ".geoparquet": "application/vnd.apache.parquet",
    ".shp": "application/vnd.shp",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".zip": "application/zip",
}


def make_record(ctx: TaskContext, file: SourceFile, collection: str, detail: Detail) -> pystac.Item:
    """Make the record of a file. Raises PermanentError for one that cannot be read, or lies nowhere on Earth."""
    kind = kind_of(file.source.blob)
    chosen = effective(detail, kind, file.source.size)
    inner = ctx.of(file.source)
    with _advised():
        if chosen == "quick":
            return new_item(_stored(inner, file, collection, chosen), None)
        if kind == "raster":
            return _raster(inner, file, collection, chosen, limited=detail == "smart")
        return _vector(inner, file, collection, chosen)


def _raster(ctx: TaskContext, file: SourceFile, collection: str, detail: Detail, *, limited: bool) -> pystac.Item:
    with gdal_environment():
        with open_remote(ctx.blobs, file.source) as dataset:
            content, is_cog = _header(ctx, dataset), has_cog_layout(dataset)
        # A small file may hold very many pixels; only the header tells.
        if limited and content.facts.raw_bytes > ctx.settings.max_raster_size_gb * 1e9:
            detail = "header"
        checksum = None
        if detail == "full":
            content, is_cog, checksum = _pixels(ctx, content)
    kind, title = (COG_TYPE, COG_TITLE) if is_cog else (TIFF_TYPE, TIFF_TITLE)
    tags = dict(content.facts.tags)
    stored = _stored(ctx, file, collection, detail, tags=tags, media_type=kind, title=title, checksum=checksum)
    return make_raster_item(stored, content)


def _header(ctx: TaskContext, dataset: DatasetReader) -> RasterContent:
    label, facts = ctx.source_label, facts_of(dataset)
    crs = source_crs(label, facts, None).crs
    return RasterContent(facts, outline=outline_of_points(label, dataset, facts, crs))


def outline_of_points(label: str, dataset: DatasetReader, facts: RasterFacts, crs: CRS) -> Footprint | None:
    """Give the outline of a raster with control points: that of the grid it would be warped to; else None."""
    if facts.georeference != "gcps":
        return None
    grid = plan_grid(label, dataset, facts, crs, _WGS84)
    return footprint(label, _WGS84, grid.affine, grid.width, grid.height)


def has_cog_layout(dataset: DatasetReader) -> bool:
    """Tell whether the header says that the file is a Cloud Optimized GeoTIFF."""
    return bool(dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG")


def _pixels(ctx: TaskContext, content: RasterContent) -> tuple[RasterContent, bool, str]:
    """Fetch and read the whole raster: with statistics, whether it is a COG, and its checksum."""
    facts, label = content.facts, ctx.source_label
    check_size(label, facts, ctx.settings.max_raster_size_gb)
    check_blocks(label, facts)
    errors.check_disk(ctx.work_folder, ctx.source.size)
    path = fetch(ctx.blobs, ctx.source, ctx.work_folder)
    ctx.check()
    with open_fetched(label, path) as dataset:
        found = scan(dataset, facts, plan_nodata(facts, None).nodata, ctx.check)
    check_undamaged(label, found, facts)
    whole = RasterContent(facts, found.statistics, content.outline)
    return whole, bool(validate_cog(path)["valid"]), checksum_of(path)


def _vector(ctx: TaskContext, file: SourceFile, collection: str, detail: Detail) -> pystac.Item:
    checksums: list[str] = []
    layers = read_layers(ctx, lambda path: checksums.append(checksum_of(path)) if detail == "full" else None)
    checksum = checksums[0] if checksums else None
    contents = contents_of(file.source.label, layers)
    return make_vector_item(_stored(ctx, file, collection, detail, checksum=checksum), contents)


def _stored(
    ctx: TaskContext,
    file: SourceFile,
    collection: str,
    detail: Detail,
    *,
    tags: dict[str, str] | None = None,
    media_type: str | None = None,
    title: str | None = None,
    checksum: str | None = None,
) -> StoredFile:
    source = file.source
    known = format_of(source.blob)
    return StoredFile(
        item_id=source_item_id(source.container, source.blob),
        collection_id=collection,
        href=href_of(ctx.settings.asset_base_url, source.container, source.blob),
        source=source.label,
        size=source.size,
        moment=moment_of(tags or {}, source.blob, source.last_modified, datetime.now(UTC)),
        media_type=media_type or media_type_of(source.blob),
        title=title or (known.name if known else TIFF_TITLE),
        checksum=checksum,
        properties=_properties(file, detail),
    )


def _properties(file: SourceFile, detail: Detail) -> Json:
    source = file.source
    properties = {
        "geostage:container": source.container,
        "geostage:blob": source.blob,
        "geostage:etag": source.etag,
        "geostage:last_modified": source.last_modified,
        "geostage:content_type": file.content_type,
        "geostage:kind": kind_of(source.blob),
        "geostage:detail": detail,
    }
    return {key: value for key, value in properties.items() if value is not None}


def media_type_of(blob: str) -> str:
    """Give the media type of a file by its extension."""
    suffix = PurePosixPath(blob).suffix.lower()
    return _MEDIA_TYPES.get(suffix, TIFF_TYPE)


@contextmanager
def _advised() -> Iterator[None]:
    try:
        yield
    except PermanentError as exc:
        remedy = _REMEDIES.get(exc.error_code)
        if remedy is None:
            raise
        raise PermanentError(exc.message, remediation=remedy, code=exc.error_code) from exc
