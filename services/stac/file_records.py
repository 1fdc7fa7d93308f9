"""Records of files as they are: what storage says of one, what its header says, or all of its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import pystac
from pyproj import CRS
from rasterio.io import DatasetReader

from repositories.storage.blobs import Blobs
from schema.errors import PermanentError
from schema.jobs import Source
from services.containers.batches import SourceFile
from services.containers.details import SMART_BYTES, Detail, effective
from services.containers.kinds import kind_of
from services.crs import WGS84, horizontal
from services.raster import errors
from services.raster.output.cog import validate_cog
from services.raster.planning.georeference import source_crs
from services.raster.planning.grids import operation_for, plan_grid
from services.raster.planning.nodata import plan_nodata
from services.raster.planning.plan import check_blocks, check_size
from services.raster.source.facts import RasterFacts, facts_of
from services.raster.source.gdal import gdal_environment
from services.raster.source.remote import fetch, open_fetched, open_remote
from services.raster.source.scan import check_undamaged, scan
from services.stac.ids import source_item_id
from services.stac.items.datetimes import datetime_of
from services.stac.items.footprint import Footprint, footprint
from services.stac.items.item import StoredFile, checksum_of, href_of, new_item
from services.stac.items.raster_item import COG_TITLE, COG_TYPE, TIFF_TITLE, TIFF_TYPE, RasterContent, make_raster_item
from services.stac.items.vector_item import make_vector_item
from services.stac.items.vector_layers import contents_of, read_layers
from services.vector.formats import format_of

_REMEDIES = {
    "crs_missing": "Write the CRS into the file (gdal_translate -a_srs EPSG:32633; for a shapefile add its .prj), "
    "or load it with process_raster or process_vector, which take source_crs.",
    "raster_too_large": "Submit stac_item_smart or catalog_file, which read only the header of a large raster.",
    "crs_not_transformable": "Correct the CRS in the file (gdal_edit.py -a_srs EPSG:32633), and upload it again.",
    "crs_unknown": "Correct the CRS in the file, or load it with process_vector, which takes source_crs.",
    "coordinates_missing": "Name the columns latitude and longitude, or wkt, or load it with process_vector, which "
    "takes latitude_column, longitude_column and wkt_column.",
}
"""Remedies by error code: the usual ones name parameters that catalog jobs do not take."""
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


@dataclass(frozen=True)
class RecordMaker:
    """Makes the records of files of one collection; reads the files from storage by way of a local folder."""

    blobs: Blobs
    work_folder: Path
    check: Callable[[], None]
    """Called between blocks and batches; may raise to stop."""
    collection_id: str
    asset_base_url: str
    max_raster_size_gb: float
    """A raster with more uncompressed pixels is not read as a whole."""
    smart_bytes: int = SMART_BYTES

    def make(self, file: SourceFile, detail: Detail) -> pystac.Item:
        """Return the record of a file.

        Raises
        ------
        PermanentError
            The file cannot be read, or its coordinates lie nowhere on Earth.
        DiskFull
            The folder has no room for a file that must be fetched.
        """
        source = file.source
        kind = kind_of(source.blob)
        chosen = effective(detail, kind, source.size, self.smart_bytes)
        with _catalog_remedies():
            if chosen == "quick":
                return new_item(self._stored(file, chosen), None)
            if kind == "raster":
                return self._raster(file, chosen, limited=detail == "smart")
            return self._vector(file, chosen)

    def _raster(self, file: SourceFile, detail: Detail, *, limited: bool) -> pystac.Item:
        source = file.source
        with gdal_environment():
            with open_remote(self.blobs, source) as dataset:
                facts = facts_of(dataset)
                crs = source_crs(source.label, facts, None).crs
                content = RasterContent(facts, outline=outline_of_points(source.label, dataset, facts, crs))
                is_cog = has_cog_layout(dataset)
            # A small file may hold very many pixels, all alike; only the header tells.
            if limited and facts.raw_bytes > self.max_raster_size_gb * 1e9:
                detail = "header"
            checksum = None
            if detail == "full":
                content, is_cog, checksum = self._pixels(source, content)
        media_type, title = (COG_TYPE, COG_TITLE) if is_cog else (TIFF_TYPE, TIFF_TITLE)
        tags = dict(facts.tags)
        stored = self._stored(file, detail, tags=tags, media_type=media_type, title=title, checksum=checksum)
        return make_raster_item(stored, content)

    def _pixels(self, source: Source, content: RasterContent) -> tuple[RasterContent, bool, str]:
        """Fetch and read the whole raster: with statistics, whether it is a COG, and its checksum."""
        facts, label = content.facts, source.label
        check_size(label, facts, self.max_raster_size_gb)
        check_blocks(label, facts)
        errors.check_disk(self.work_folder, source.size)
        path = fetch(self.blobs, source, self.work_folder)
        self.check()
        with open_fetched(label, path) as dataset:
            found = scan(dataset, facts, plan_nodata(facts, None).nodata, self.check)
        check_undamaged(label, found, facts)
        whole = RasterContent(facts, found.statistics, content.outline)
        return whole, bool(validate_cog(path)["valid"]), checksum_of(path)

    def _vector(self, file: SourceFile, detail: Detail) -> pystac.Item:
        checksums: list[str] = []

        def add_checksum(path: Path) -> None:
            # Before the file is unpacked: the checksum is that of the blob.
            if detail == "full":
                checksums.append(checksum_of(path))

        layers = read_layers(self.blobs, file.source, self.work_folder, self.check, add_checksum)
        stored = self._stored(file, detail, checksum=checksums[0] if checksums else None)
        return make_vector_item(stored, contents_of(file.source.label, layers))

    def _stored(
        self,
        file: SourceFile,
        detail: Detail,
        *,
        tags: Mapping[str, str] | None = None,
        media_type: str | None = None,
        title: str | None = None,
        checksum: str | None = None,
    ) -> StoredFile:
        source = file.source
        file_format = format_of(source.blob)
        properties = {
            "geostage:container": source.container,
            "geostage:blob": source.blob,
            "geostage:etag": source.etag,
            "geostage:last_modified": source.last_modified,
            "geostage:content_type": file.content_type,
            "geostage:kind": kind_of(source.blob),
            "geostage:detail": detail,
        }
        return StoredFile(
            item_id=source_item_id(source.container, source.blob),
            collection_id=self.collection_id,
            href=href_of(self.asset_base_url, source.container, source.blob),
            source=source.label,
            size=source.size,
            dated=datetime_of(tags or {}, source.blob, source.last_modified, datetime.now(UTC)),
            media_type=media_type or media_type_of(source.blob),
            title=title or (file_format.name if file_format else TIFF_TITLE),
            checksum=checksum,
            properties={key: value for key, value in properties.items() if value is not None},
        )


def outline_of_points(label: str, dataset: DatasetReader, facts: RasterFacts, crs: CRS) -> Footprint | None:
    """Return the outline of a raster with ground control points: of the grid it would be warped to; else None."""
    if facts.georeference != "gcps":
        return None
    grid = plan_grid(label, dataset, facts, horizontal(crs), WGS84, operation_for(label, facts, crs, WGS84))
    return footprint(label, WGS84, grid.affine, grid.width, grid.height)


def has_cog_layout(dataset: DatasetReader) -> bool:
    """Whether the header declares the layout of a Cloud Optimized GeoTIFF; the blocks are not looked at."""
    return bool(dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG")


def media_type_of(blob: str) -> str:
    """Return the media type of a file by its extension."""
    suffix = PurePosixPath(blob).suffix.lower()
    return _MEDIA_TYPES.get(suffix, TIFF_TYPE)


@contextmanager
def _catalog_remedies() -> Iterator[None]:
    try:
        yield
    except PermanentError as exc:
        remedy = _REMEDIES.get(exc.error_code)
        if remedy is None:
            raise
        raise PermanentError(exc.message, remediation=remedy, code=exc.error_code) from exc
