"""MosaicJSON: which tiles to open for a tile of the web map. Pure.

Format: https://github.com/developmentseed/mosaicjson-spec
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import morecantile
from cogeo_mosaic.mosaic import MosaicJSON

from schema.jobs import Json
from services.stac.boxes import Bbox

MERCATOR_EDGE = 85.05
"""Degrees of latitude: the web map ends at 85.051."""
MAP_TILE = 256
"""Pixels of a side of a tile of the web map."""
_TMS = morecantile.tms.get("WebMercatorQuad")


@dataclass(frozen=True)
class MosaicTile:
    """A tile of the raster: its name relative to the mosaic, and where it lies."""

    name: str
    bbox: Bbox
    """West, south, east, north in degrees; west > east across the antimeridian."""


def make_mosaic(
    name: str, prefix: str, tiles: Sequence[MosaicTile], degrees: float, tile_side: int, data_type: str
) -> str:
    """Return the document as JSON text.

    Parameters
    ----------
    name
        Name of the mosaic.
    prefix
        What readers put before the tiles' names to open them.
    tiles
        What lies beyond the latitudes of the web map is left out.
    degrees
        Size of a pixel, in degrees.
    tile_side
        Pixels of a tile's longer side.
    data_type
        NumPy's name of the pixels' type.
    """
    # The index is of the zoom at which a map tile has about the size of a raster tile, so that it has few entries for
    # each.
    features = [feature for tile in tiles for feature in _features(tile)]
    # The zoom whose pixels, at the equator, are at most as large as the raster's; 1e-6 keeps rounding out of it.
    maxzoom = min(int(_TMS.maxzoom), max(0, math.ceil(math.log2(360.0 / MAP_TILE / degrees) - 1e-6)))
    minzoom = max(0, maxzoom - math.ceil(math.log2(max(1.0, tile_side / MAP_TILE))))
    facts = {"name": name, "asset_type": "COG", "asset_prefix": prefix, "data_type": data_type}
    zooms = {"minzoom": minzoom, "maxzoom": maxzoom, "quadkey_zoom": minzoom}
    # cogeo-mosaic computes bounds from its features, and fails without any.
    if features:
        mosaic = MosaicJSON.from_features(features, **zooms)
    else:
        mosaic = MosaicJSON(mosaicjson="0.0.3", tiles={}, **zooms)
    document: str = mosaic.model_copy(update=facts).model_dump_json(exclude_none=True)
    return document


def _features(tile: MosaicTile) -> Iterator[Json]:
    west, south, east, north = tile.bbox[:4]
    south, north = max(south, -MERCATOR_EDGE), min(north, MERCATOR_EDGE)
    if south >= north:
        return
    for left, right in ((west, 180.0), (-180.0, east)) if west > east else ((west, east),):
        ring = [[left, south], [right, south], [right, north], [left, north], [left, south]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        yield {"type": "Feature", "geometry": geometry, "properties": {"path": tile.name}}
