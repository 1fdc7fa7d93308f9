"""STAC items of vector files: their layers, columns and extent. Pure.

The table extension describes one table. If a file has several layers, the columns are those of the first, the rows are
those of all, and `geostage:layers` describes each.
"""

from __future__ import annotations

from dataclasses import dataclass

import pystac
from pyproj import CRS
from pystac.extensions.table import Column, TableExtension

from schema.jobs import Json
from services.stac.items.footprint import Footprint, joined
from services.stac.items.item import StoredFile, new_item, project

MAX_COLUMNS = 200
MAX_LAYERS = 50
GEOMETRY = "geometry"


@dataclass(frozen=True)
class LayerContent:
    """What is in a layer."""

    name: str
    rows: int
    geometry_types: dict[str, int]
    """Rows by geometry type; "" for null."""
    columns: tuple[tuple[str, str], ...]
    """Name and type; without the geometry."""
    crs: CRS
    crs_label: str
    bounds: tuple[float, float, float, float]
    """Left, bottom, right, top in its CRS; in degrees, right exceeds 180 across the antimeridian."""
    outline: Footprint


def make_vector_item(file: StoredFile, layers: list[LayerContent]) -> pystac.Item:
    """Return the item of a vector file with one layer or more."""
    item = new_item(file, joined([layer.outline for layer in layers]))
    item.properties["geostage:layers"] = [describe_layer(layer) for layer in layers[:MAX_LAYERS]]
    first = layers[0]
    table = TableExtension.ext(item, add_if_missing=True)
    kinds = sorted(kind for kind in first.geometry_types if kind)
    geometry = {"name": GEOMETRY, "type": kinds[0] if len(kinds) == 1 else "Geometry"}
    columns = [geometry, *({"name": name, "type": kind} for name, kind in first.columns[:MAX_COLUMNS])]
    table.columns = [Column(column) for column in columns]
    table.row_count = sum(layer.rows for layer in layers)
    table.primary_geometry = GEOMETRY
    if len({layer.crs_label for layer in layers}) == 1:
        project(item, first.crs, bbox=list(first.bounds) if len(layers) == 1 else None)
    return item


def describe_layer(layer: LayerContent) -> Json:
    """Return a layer as `geostage:layers` lists it."""
    return {
        "name": layer.name,
        "row_count": layer.rows,
        "geometry_types": {kind or "null": number for kind, number in sorted(layer.geometry_types.items())},
        "crs": layer.crs_label,
        "column_count": len(layer.columns),
    }
