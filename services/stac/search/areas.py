"""Areas: boxes and circles on the globe as GeoJSON, cut at the antimeridian. Pure. Degrees, longitude first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from schema.jobs import Json

METRES_PER_DEGREE = 110_500.0
"""Less than a degree of latitude (110,574 m at the least) or of the equator (111,320 m) measures on WGS 84, so that
boxes around circles are never too small."""
HALF_WAY_ROUND = 20_037_600.0
"""Metres; no two places on Earth are farther apart."""
# A box is only a first filter, the distance decides: 1 % more is cheaper than a place that is missed by rounding.
_MARGIN = 1.01
Box = tuple[float, float, float, float]
"""West, south, east, north; west is never beyond east."""


def boxes_of(bbox: Sequence[float]) -> list[Box]:
    """Return a bbox of 4 or 6 numbers as boxes without heights: two where it crosses the antimeridian, else one."""
    west, south, east, north = (bbox[0], bbox[1], bbox[3], bbox[4]) if len(bbox) == 6 else bbox
    if west <= east:
        return [(west, south, east, north)]
    return [(west, south, 180.0, north), (-180.0, south, east, north)]


def boxes_around(longitude: float, latitude: float, metres: float) -> list[Box]:
    """Return boxes that hold all that lies within a distance of a point; around a pole they span all longitudes."""
    reach = metres / METRES_PER_DEGREE * _MARGIN
    south, north = max(latitude - reach, -90.0), min(latitude + reach, 90.0)
    narrowest = math.cos(math.radians(min(abs(latitude) + reach, 90.0)))
    width = reach / narrowest if narrowest > 1e-9 else 360.0
    if width >= 180.0 or south <= -90.0 or north >= 90.0:
        return [(-180.0, south, 180.0, north)]
    return boxes_of((_wrap(longitude - width), south, _wrap(longitude + width), north))


def geojson_of(boxes: Sequence[Box]) -> Json:
    """Return boxes as one GeoJSON geometry."""
    shapes: list[Json] = []
    for west, south, east, north in boxes:
        # A polygon without height or width has no inside, and PostGIS calls it invalid.
        if west == east and south == north:
            shapes.append({"type": "Point", "coordinates": [west, south]})
        elif west == east or south == north:
            shapes.append({"type": "LineString", "coordinates": [[west, south], [east, north]]})
        else:
            ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
            shapes.append({"type": "Polygon", "coordinates": [ring]})
    return shapes[0] if len(shapes) == 1 else {"type": "GeometryCollection", "geometries": shapes}


def _wrap(longitude: float) -> float:
    return (longitude + 180.0) % 360.0 - 180.0
