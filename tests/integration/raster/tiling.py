"""Small tiles, a raster that is large in name only, and what the database records of a plan."""

from __future__ import annotations

from typing import Any

import rasterio
from rasterio.transform import from_origin

from tests.integration.raster.world import World

SMALL = {"target_tile_size_gb": 0.0001}


def rows(world: World, statement: str, *params: Any) -> list[dict[str, Any]]:
    with world.database.connection() as conn:
        return conn.execute(statement.encode(), params).fetchall()


def nominal(world: World, name: str = "large.tif") -> str:
    """Put a raster of 31.8 GB of which nothing is stored."""
    path = world.folder / name
    size = {"width": 103_000, "height": 102_914, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32632", "transform": from_origin(300_000, 5_600_000, 5, 5)}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "pixel"}
    with rasterio.open(path, "w", driver="GTiff", nodata=0, SPARSE_OK=True, BIGTIFF="YES", **size, **place, **layout):
        pass
    return world.put(name, path.read_bytes())
