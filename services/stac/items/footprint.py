"""Footprints: where on Earth a file lies, also across the antimeridian and at the poles. Pure.

RFC 7946, section 3.1.9: what crosses the antimeridian is cut there; 5.2: its bounding box has west > east.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from shapely import MultiPolygon, Polygon, box, make_valid, set_precision
from shapely.affinity import translate
from shapely.geometry import mapping, shape
from shapely.geometry.polygon import orient
from shapely.ops import unary_union

from services.crs import WGS84, Operation, crs_label, horizontal, transformer_between
from services.raster.errors import not_on_earth
from services.raster.planning.georeference import Points, places, pole_inside
from services.raster.planning.valid_area import ValidArea, valid_area
from services.stac.boxes import enclose

EDGE_POINTS = 129
"""Points along each edge: in degrees the edges of a projected grid are curved."""
HALF_TURN = 180.0
"""Degrees. What is wider may be cut at the antimeridian, and then the bounds of its geometry are not its bbox."""
_STRAIGHT = 1e-8
"""Degrees by which a point may be off a straight line and still be left out of it: a millimetre."""
_DIGITS = 9
"""A tenth of a millimetre on the ground."""


@dataclass(frozen=True)
class Footprint:
    """Longitude and latitude, WGS 84."""

    geometry: dict[str, Any]
    """GeoJSON, Polygon or MultiPolygon."""
    bbox: tuple[float, float, float, float]
    """West, south, east, north; west > east across the antimeridian."""


def footprint(label: str, crs: CRS, affine: Affine, width: int, height: int) -> Footprint:
    """Return the outline of a grid.

    Parameters
    ----------
    label
        Name of the file in messages.
    crs
        CRS of the grid: geographic or projected.
    affine
        Maps (column, row) to coordinates of the CRS, in its units.
    width, height
        Columns and rows.

    Raises
    ------
    PermanentError
        not_on_earth: no part of it lies on Earth. crs_not_transformable: the CRS does not lead to WGS 84.
    """
    to_geographic = transformer_between(label, crs, WGS84)
    operation = Operation(to_geographic, None)
    area = valid_area(horizontal(crs), affine, width, height, operation)
    if area is None:
        raise not_on_earth(label=label, crs=crs_label(crs))
    if not area.is_whole:
        return _partial_footprint(area, affine, operation, pole_inside(width, height, affine, to_geographic))
    ring = _unwrapped_ring(affine, width, height, to_geographic)
    pole = pole_inside(width, height, affine, to_geographic)
    if pole:
        ring = _over_pole(ring, pole)
    # Near a pole or the edge of a projection the ring may cross itself.
    drawn = Polygon(ring)
    outline = drawn if drawn.is_valid else make_valid(drawn)
    # A fiftieth of a pixel, or of a thousandth of a raster with fewer.
    west, south, east, north = outline.bounds
    tolerance = 0.02 * min(east - west, north - south) / max(1000, width, height)
    on_earth = _wrapped(outline, max(_STRAIGHT, tolerance))
    if on_earth.is_empty:
        raise not_on_earth(label=label, crs=crs_label(crs))
    return Footprint(_geojson(on_earth), _bbox(outline, on_earth, everywhere=bool(pole)))


def _partial_footprint(area: ValidArea, affine: Affine, operation: Operation, pole: int) -> Footprint:
    """Return the outline of the part of a grid that has a place: the cells between its nodes, joined on Earth."""
    rings = [np.asarray(ring) for ring in area.cells]
    points = np.concatenate(rings)
    lon, lat = operation.forward(*places(affine, points[:, 0], points[:, 1]))
    placed = np.column_stack([lon, np.clip(lat, -90.0, 90.0)])
    parts, boxes = [], []
    for ring in np.split(placed, np.cumsum([len(ring) for ring in rings])[:-1]):
        turned = np.column_stack([np.unwrap(ring[:, 0], period=360.0), ring[:, 1]])
        # A cell spans few degrees of longitude, unless a pole lies in it: then its corners go around the Earth.
        if pole and abs(np.unwrap(ring[[*range(len(ring)), 0], 0], period=360.0)[-1] - ring[0, 0]) > HALF_TURN:
            turned = _over_pole(ring, pole)
        else:
            # A corner on the antimeridian itself is at 180 or -180 degrees by chance; the rest of the cell decides.
            turned[:, 0] -= 360.0 * np.round(turned[:, 0].mean() / 360.0)
            at_end = np.abs(np.abs(turned[:, 0]) - HALF_TURN) < 1e-7
            turned[at_end, 0] = np.copysign(HALF_TURN, turned[at_end, 0])
        drawn = Polygon(turned)
        part = drawn if drawn.is_valid else make_valid(drawn)
        if part.is_empty:
            continue
        west, south, east, north = part.bounds
        parts.append(part)
        boxes.append([*_on_globe(west, east), south, north])
    on_earth = _wrapped(unary_union(parts), _STRAIGHT)
    west, south, east, north = (float(v) for v in on_earth.bounds)
    if east - west > HALF_TURN:
        west, _, east, _ = enclose([[west, south, east, north] for west, east, south, north in boxes])
    bbox = tuple(round(v, _DIGITS) for v in (west, south, east, north))
    return Footprint(_geojson(on_earth), bbox)  # type: ignore[arg-type]


def _on_globe(west: float, east: float) -> tuple[float, float]:
    """Return the ends of an arc of longitudes as those of a bbox: west > east across the antimeridian."""
    if west < -180.0 or east > 180.0:
        west, east = ((v + 180.0) % 360.0 - 180.0 for v in (west, east))
        # The eastern edge on the antimeridian itself is 180, not -180.
        east = 180.0 if east == -180.0 else east
    return west, east


def extent_footprint(label: str, crs: CRS, bounds: tuple[float, float, float, float]) -> Footprint:
    """Return the outline of an extent.

    The extent is treated as a grid of one cell, so that curved edges, the antimeridian and the poles come out as those
    of rasters do.

    Parameters
    ----------
    label
        Name of the file in messages.
    crs
        CRS of the extent.
    bounds
        Left, bottom, right, top in units of the CRS; in degrees, right may exceed 180.

    Raises
    ------
    PermanentError
        What `footprint` raises.
    """
    left, bottom, right, top = bounds
    # A point, or a line along an axis, has no area that a polygon could outline: a tenth of a metre is added.
    least = 1e-6 if crs.is_geographic else 0.1
    across, down = max(right - left, least), max(top - bottom, least)
    corner = (left + right - across) / 2, (bottom + top + down) / 2
    return footprint(label, crs, Affine(across, 0.0, corner[0], 0.0, -down, corner[1]), 1, 1)


def joined(footprints: Sequence[Footprint]) -> Footprint:
    """Return the outline of several together."""
    if len(footprints) == 1:
        return footprints[0]
    parts = [part for one in footprints for part in _polygons(shape(one.geometry))]
    whole = _polygons(unary_union(parts))
    bbox = enclose(one.bbox for one in footprints)
    return Footprint(_geojson(MultiPolygon(whole)), tuple(bbox))  # type: ignore[arg-type]


def _unwrapped_ring(affine: Affine, width: int, height: int, to_geographic: Transformer) -> Points:
    """Return the outline as an array (n, 2) of longitudes and latitudes; longitudes run on past 180.

    Points that cannot be transformed are left out.
    """
    along = np.linspace(0.0, 1.0, EDGE_POINTS)[:-1]
    zeros = np.zeros_like(along)
    cols = np.concatenate([along, zeros + 1, 1 - along, zeros]) * width
    rows = np.concatenate([zeros, along, zeros + 1, 1 - along]) * height
    lon, lat = (np.asarray(v) for v in to_geographic.transform(*places(affine, cols, rows)))
    known = np.isfinite(lon) & np.isfinite(lat)
    # The outermost rows of a global raster may end slightly beyond the pole.
    return np.column_stack([np.unwrap(lon[known], period=360.0), np.clip(lat[known], -90.0, 90.0)])


def _over_pole(ring: Points, pole: int) -> Points:
    """Return the outline of all that lies between a ring around a pole and the pole: 90 N for 1, 90 S for -1."""
    around = ring[np.argsort((ring[:, 0] + 180.0) % 360.0)]
    lon = (around[:, 0] + 180.0) % 360.0 - 180.0
    seam = float(np.interp(180.0, [lon[-1], lon[0] + 360.0], [around[-1, 1], around[0, 1]]))
    edge = np.column_stack([lon, around[:, 1]])
    return np.vstack([[-180.0, seam], edge, [180.0, seam], [180.0, 90.0 * pole], [-180.0, 90.0 * pole]])


def _wrapped(outline: Any, tolerance: float) -> Polygon | MultiPolygon:
    """Return an outline cut at the antimeridian, its parts moved to longitudes from -180 to 180.

    Points that are off a straight line by no more than `tolerance`, in degrees, are left out.
    """
    west, _, east, _ = outline.bounds
    parts = []
    for turn in range(int(np.floor((west + 180.0) / 360.0)), int(np.ceil((east - 180.0) / 360.0)) + 1):
        part = outline.intersection(box(-180.0 + 360.0 * turn, -90.0, 180.0 + 360.0 * turn, 90.0))
        parts += _polygons(translate(part, xoff=-360.0 * turn))
    # On a grid of the digits that are written, since rounding them afterwards may let a narrow part cross itself.
    whole = set_precision(unary_union(parts).simplify(tolerance), 10.0**-_DIGITS)
    found = _polygons(whole)
    return found[0] if len(found) == 1 else MultiPolygon(found)


def _polygons(geometry: Any) -> list[Polygon]:
    if isinstance(geometry, Polygon):
        return [] if geometry.is_empty else [geometry]
    return [part for part in getattr(geometry, "geoms", []) for part in _polygons(part)]


def _bbox(outline: Any, on_earth: Any, *, everywhere: bool) -> tuple[float, float, float, float]:
    """Return the bbox: the bounds of the geometry as written, or from before the cut if it was cut."""
    # SQL reads an item's bounds from its geometry, which is faster than its bbox, unless it is wider than half the
    # world: so up to there both must be exactly equal.
    west, south, east, north = (float(v) for v in on_earth.bounds)
    if east - west > HALF_TURN:
        west, _, east, _ = (float(v) for v in outline.bounds)
        if everywhere or east - west >= 360.0 - 1e-9:
            west, east = -180.0, 180.0
        else:
            west, east = _on_globe(west, east)
    return tuple(round(v, _DIGITS) for v in (west, south, east, north))  # type: ignore[return-value]


def _geojson(geometry: Polygon | MultiPolygon) -> dict[str, Any]:
    # RFC 7946, 3.1.6: outer rings run counter-clockwise.
    parts = [orient(part) for part in _polygons(geometry)]
    outline = mapping(parts[0] if len(parts) == 1 else MultiPolygon(parts))
    return {"type": outline["type"], "coordinates": _rounded(outline["coordinates"])}


def _rounded(value: Any) -> Any:
    return [_rounded(v) for v in value] if isinstance(value, (list, tuple)) else round(float(value), _DIGITS)
