"""Layers of a vector file, read for its record: one pass over each.

Headers are not relied on: their extents and counts may be out of date (GeoPackage), and half of the formats have none.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from repositories.storage.blobs import Blobs
from schema.errors import PermanentError
from schema.jobs import Json, Source
from services.crs import crs_label, parse_layer_crs
from services.raster.errors import check_disk
from services.stac.items.footprint import extent_footprint
from services.stac.items.vector_item import LayerContent
from services.vector.load.row_accounting import check_counts
from services.vector.read_options import ALL_LAYERS, ReadOptions
from services.vector.readers.extent import Extent, extent_of, shorter_bounds
from services.vector.readers.source_layer import SourceLayer
from services.vector.source import layers as source_layers
from services.vector.source.fetch import fetch_to, find_parts

EVERY_LAYER = ReadOptions(layer=ALL_LAYERS)
DISK_FACTOR = 3
"""A source needs about three times its size: packed, unpacked, turned into what can be read in pieces."""


@dataclass(frozen=True)
class ReadLayer:
    """A layer as it was read."""

    layer: SourceLayer
    extent: Extent


def read_layers(
    blobs: Blobs,
    source: Source,
    work_folder: Path,
    check: Callable[[], None],
    look: Callable[[Path], None] = lambda _: None,
) -> list[ReadLayer]:
    """Fetch a source into a folder below `work_folder` that is removed afterwards, and read every layer once.

    `check` is called between batches and may raise to stop; `look` is called with the file as it was fetched. Raises
    PermanentError for a file that cannot be read, DiskFull.
    """
    parts = find_parts(blobs, source)
    check_disk(work_folder, DISK_FACTOR * source.size)
    with tempfile.TemporaryDirectory(dir=work_folder) as name:
        folder = Path(name)
        # Not into the cache of sources, which the files of a large container would flush.
        fetch_to(blobs, source, parts, folder, check=check, look=look)
        layers = []
        for origin in source_layers.choose(folder, EVERY_LAYER, parts):
            whole = origin.file_format.chunking == "blob"
            read = source_layers.open_origin if whole else source_layers.open_geometries
            with read(folder, origin, EVERY_LAYER, check) as (layer, batches):
                extent = extent_of(batches, check)
                check_counts(layer.name, extent.rows, layer.count_rows(extent.rows))
                layers.append(ReadLayer(layer, extent))
        return layers


def contents_of(label: str, layers: list[ReadLayer]) -> list[LayerContent]:
    """Return the layers with their places on Earth; those without geometries are left out.

    Raises
    ------
    PermanentError
        No layer has a geometry, or one has no CRS or lies nowhere on Earth.
    """
    placed = [content for read in layers if (content := place(label, read))]
    if not placed:
        raise PermanentError(
            f"{label} has no features with a geometry.",
            remediation="Upload a file with features.",
            code="layer_empty",
        )
    return placed


def place(label: str, read: ReadLayer) -> LayerContent | None:
    """Return a layer with its place on Earth, None if it has no geometry. Raises PermanentError."""
    if read.extent.bounds is None:
        return None
    crs = parse_layer_crs(read.layer.crs)
    bounds = shorter_bounds(read.extent.bounds, read.extent.bounds_0_360, crs, label)
    return LayerContent(
        name=read.layer.name,
        rows=read.extent.rows,
        geometry_types=dict(read.extent.geometry_types),
        columns=columns_of(read.layer),
        crs=crs,
        crs_label=crs_label(crs),
        bounds=bounds,
        outline=extent_footprint(label, crs, bounds),
    )


def columns_of(layer: SourceLayer) -> tuple[tuple[str, str], ...]:
    """Return the columns' names and Arrow types."""
    return tuple((name, str(kind)) for name, kind in layer.fields)


def describe_read(read: ReadLayer) -> Json:
    """Return a layer as extract_metadata reports it."""
    kinds = {kind or "null": number for kind, number in sorted(read.extent.geometry_types.items())}
    return {
        "name": read.layer.name,
        "row_count": read.extent.rows,
        "geometry_types": kinds,
        "crs": read.layer.crs,
        "bounds": list(read.extent.bounds) if read.extent.bounds else None,
        "columns": [{"name": name, "type": kind} for name, kind in columns_of(read.layer)],
        "reading": read.layer.reading,
    }
