"""Grids: where the pixels of an output lie, and how they lie over those of the source.

Longitudes are kept continuous: a raster over the antimeridian gets a grid that runs on past 180 degrees, rather than
one that spans the world.
"""

from __future__ import annotations

import math

import numpy as np
from pyproj import CRS
from rasterio.control import GroundControlPoint
from rasterio.io import DatasetReader
from rasterio.transform import GCPTransformer
from rasterio.vrt import WarpedVRT

from schema.errors import PermanentError
from services.crs import (
    WGS84,
    Bounds,
    Operation,
    crs_label,
    crs_not_transformable,
    operation_between,
    same_crs,
    transformer_between,
)
from services.raster import errors
from services.raster.planning.georeference import (
    Grid,
    Points,
    Transform,
    places,
    pole_inside,
    sample_pixels,
    unwrap,
)
from services.raster.planning.valid_area import ValidArea, valid_area
from services.raster.source.facts import RasterFacts

Suggestion = tuple[Transform, int, int]
WIDEST_GAP = 15.0
"""Degrees. What leaves a smaller gap between its longitudes lies all around the Earth."""


def operation_for(label: str, facts: RasterFacts, crs: CRS, target: CRS) -> Operation:
    """Return the operation from the CRS of a raster to that of its output, the best one for the place of the raster.

    Raises
    ------
    PermanentError
        crs_not_transformable, longitudes_beyond_180.
    """
    to_geographic = transformer_between(label, crs, WGS84)
    if facts.georeference == "gcps":
        x, y = (np.array([getattr(point, name) for point in facts.gcps]) for name in ("x", "y"))
    else:
        x, y = places(facts.affine, *sample_pixels(facts.width, facts.height))
    lon, lat = (np.asarray(v) for v in to_geographic.transform(x, y))
    known = np.isfinite(lon) & np.isfinite(lat)
    area: Bounds | None = None
    if known.any() and np.ptp(lon[known]) < 180.0:
        area = float(lon[known].min()), float(lat[known].min()), float(lon[known].max()), float(lat[known].max())
    return operation_between(label, crs, target, area, _center_longitude(label, facts, crs))


def _center_longitude(label: str, facts: RasterFacts, crs: CRS) -> float | None:
    """Return the middle longitude of a geographic raster that reaches beyond 180 degrees, else None."""
    if not crs.is_geographic or facts.georeference == "gcps":
        return None
    lons = [(facts.affine @ corner)[0] for corner in ((0, 0), (facts.width, 0), (0, facts.height))]
    pixel = math.hypot(facts.transform[0], facts.transform[1])
    # A world raster may end up to a pixel beyond, when its positions are those of the pixels' centers.
    if min(lons) >= -180 - pixel and max(lons) <= 180 + pixel:
        return None
    # A place would have two positions in the raster.
    if max(lons) - min(lons) > 360 + 2 * pixel:
        raise errors.longitudes_beyond_180(label=label, longitude=max(lons))
    return (min(lons) + max(lons)) / 2


def plan_grid(
    label: str, dataset: DatasetReader, facts: RasterFacts, crs: CRS, target: CRS, operation: Operation
) -> Grid:
    """Return the grid that a raster is warped to.

    It is the one that GDAL suggests, which keeps the number of pixels along the diagonal, except where that would span
    the world (over the antimeridian), lose the resolution (over a pole), be infinite (Mercator at the poles), cut off
    what the raster's edges do not show (images of the whole Earth), or where GDAL would choose another operation.

    Parameters
    ----------
    label
        Names the file in errors.
    dataset, facts
        Open raster, of which only the header is read.
    crs
        Horizontal CRS of the dataset.
    target
        CRS of the grid.
    operation
        From `crs` to `target`.

    Returns
    -------
    Grid
        In `target`; longitudes run on beyond 180 degrees rather than jump at the antimeridian.

    Raises
    ------
    PermanentError
        crs_not_transformable: the raster does not lie where the target CRS is defined.
    """
    found = None
    if facts.georeference != "gcps":
        area = valid_area(crs, facts.affine, facts.width, facts.height, operation)
        if area is None:
            raise _nowhere(label, crs, target)
        found = _special_grid(facts, crs, target, operation, area)
    if found is None:
        try:
            with WarpedVRT(dataset, src_crs=crs.to_wkt(), crs=target.to_wkt()) as vrt:
                found = _checked(facts, operation, target, (tuple(vrt.transform)[:6], vrt.width, vrt.height))
        except errors.GDAL_ERRORS as exc:
            raise _nowhere(label, crs, target) from exc
    transform, width, height = found
    # PROJ answers with infinity outside the area where a projection is defined.
    if not (width > 0 and height > 0 and np.isfinite(transform).all()):
        raise _nowhere(label, crs, target)
    return Grid(target.to_wkt(), transform, width, height)


def _special_grid(
    facts: RasterFacts, crs: CRS, target: CRS, operation: Operation, area: ValidArea
) -> Suggestion | None:
    """Return the grid of a raster for which GDAL's would not do, else None."""
    if crs.is_geographic and facts.georeference == "north_up" and is_mercator(target):
        return _mercator_grid(facts, target, operation)
    if not area.is_whole:
        return _partial_grid(facts, target, operation, area)
    return _geographic_grid(facts, crs, operation) if target.is_geographic else None


def _nowhere(label: str, crs: CRS, target: CRS) -> PermanentError:
    if same_crs(crs, target):
        return errors.not_on_earth(label=label, crs=crs_label(crs))
    return crs_not_transformable(label, crs, target)


def _checked(facts: RasterFacts, operation: Operation, target: CRS, suggested: Suggestion) -> Suggestion:
    """Return a grid that GDAL suggests, or one of the same resolution if its operation leads elsewhere."""
    transform, width, height = suggested
    if facts.georeference == "gcps" or not np.isfinite(transform).all():
        return suggested
    x, y = operation.forward(*places(facts.affine, *sample_pixels(facts.width, facts.height)))
    x = unwrap(x) if target.is_geographic else x
    size, left, top = transform[0], transform[2], transform[5]
    found = float(x.min()), float(y.min()), float(x.max()), float(y.max())
    # Both take the same points along the edges; a grid ends up to a pixel later.
    edges = left, top - size * height, left + size * width, top
    out = [edges[0] - found[0], edges[1] - found[1], found[2] - edges[2], found[3] - edges[3]]
    near = max(out) <= 1.5 * size
    return suggested if near or not np.isfinite(found).all() else _grid_of(found, size)


def _partial_grid(facts: RasterFacts, target: CRS, operation: Operation, area: ValidArea) -> Suggestion:
    """Return the grid around the pixels that have a place, at the resolution of the one nearest to the middle."""
    cols, rows = area.points
    x, y = operation.forward(*places(facts.affine, cols, rows))
    middle = np.argmin((cols - facts.width / 2) ** 2 + (rows - facts.height / 2) ** 2)
    at_col, at_row = float(cols[middle]), float(rows[middle])
    corner = places(facts.affine, at_col + np.array([0.0, 0.5, 0.0]), at_row + np.array([0.0, 0.0, 0.5]))
    near_x, near_y = operation.forward(*corner)
    right, down = (np.array([v[n] - v[0] for v in (near_x, near_y)]) for n in (1, 2))
    size = 2.0 * math.sqrt(abs(float(right[0] * down[1] - right[1] * down[0])))
    south, north = float(y.min()), float(y.max())
    if not target.is_geographic:
        return _grid_of((float(x.min()), south, float(x.max()), north), size)
    pole = pole_inside(facts.width, facts.height, facts.affine, operation.transformer)
    south, north = (-90.0 if pole < 0 else south), (90.0 if pole > 0 else north)
    lon = np.sort(x)
    gaps = np.diff(lon, append=lon[0] + 360.0)
    widest = int(np.argmax(gaps))
    west, east = float(np.roll(lon, -widest - 1)[0]), float(lon[widest])
    if pole or gaps[widest] < WIDEST_GAP:
        west, east = -180.0, 180.0
    return _grid_of((west, south, east if east > west else east + 360.0, north), size)


def _geographic_grid(facts: RasterFacts, crs: CRS, operation: Operation) -> Suggestion | None:
    if crs.is_geographic and facts.georeference == "north_up":
        return None
    # GDAL's suggestion for a raster over the antimeridian spans all 360 degrees, in as few columns as it has.
    cols, rows = sample_pixels(facts.width, facts.height)
    lon, lat = operation.forward(*places(facts.affine, cols, rows))
    # Three points are the least that have an area.
    known = np.isfinite(lon) & np.isfinite(lat)
    if known.sum() < 3:
        return None
    # Around a pole every longitude occurs, and those of the samples say nothing about the width.
    pole = pole_inside(facts.width, facts.height, facts.affine, operation.transformer)
    if pole:
        return _polar_grid(facts, lat[known], pole, operation)
    lon = unwrap(lon[known])
    if lon.min() >= -180 and lon.max() <= 180:
        return None
    bounds = float(lon.min()), float(lat[known].min()), float(lon.max()), float(lat[known].max())
    diagonal = math.hypot(bounds[2] - bounds[0], bounds[3] - bounds[1])
    return _grid_of(bounds, diagonal / math.hypot(facts.width, facts.height))


def is_mercator(target: CRS) -> bool:
    """Whether a projection goes to infinity at the poles."""
    method = target.coordinate_operation.method_name if target.coordinate_operation else ""
    return "Mercator" in method and "Transverse" not in method and "Oblique" not in method


def _mercator_grid(facts: RasterFacts, target: CRS, operation: Operation) -> Suggestion | None:
    area = target.area_of_use
    cols, rows = sample_pixels(facts.width, facts.height)
    lon, lat = places(facts.affine, cols, rows)
    # Where Web Mercator's square ends: https://epsg.io/3857
    south, north = (area.south, area.north) if area else (-85.06, 85.06)
    if lat.min() >= south and lat.max() <= north:
        return None
    x, y = operation.forward(lon, np.clip(lat, south, north))
    if float(np.ptp(y)) <= 0:
        return None
    # The resolution at the equator, or where the raster comes nearest to it, is that of the pixels.
    return _grid_of((float(x.min()), float(y.min()), float(x.max()), float(y.max())), float(np.ptp(x)) / facts.width)


def _polar_grid(facts: RasterFacts, lat: Points, pole: int, operation: Operation) -> Suggestion:
    # Along a circle of latitude near the pole degrees say nothing about size; along a meridian they do.
    middle = np.array([facts.width * 0.25, facts.width * 0.25 + 1.0]), np.full(2, facts.height * 0.5)
    down = np.full(2, facts.width * 0.25), np.array([facts.height * 0.5, facts.height * 0.5 + 1.0])
    steps = [np.diff(operation.forward(*places(facts.affine, *pair))[1])[0] for pair in (middle, down)]
    size = math.hypot(*steps)
    bounds = (-180.0, -90.0, 180.0, float(lat.max())) if pole < 0 else (-180.0, float(lat.min()), 180.0, 90.0)
    return _grid_of(bounds, size)


def _grid_of(bounds: tuple[float, float, float, float], size: float) -> Suggestion:
    west, south, east, north = bounds
    # Less than a millionth of a pixel is a rounding error, and no pixel of its own.
    width, height = math.ceil((east - west) / size - 1e-6), math.ceil((north - south) / size - 1e-6)
    return (size, 0.0, west, 0.0, -size, north), max(1, width), max(1, height)


def row_span(facts: RasterFacts, grid: Grid, operation: Operation, side: int) -> float:
    """Return how many rows of the source a row of blocks of the grid touches at most, by samples.

    Parameters
    ----------
    facts
        Of the source.
    grid
        Of the output.
    operation
        From the CRS of the source to that of the grid.
    side
        Of the blocks, in pixels of the grid.
    """
    # Control points have no inverse that could be sampled here, so assume the worst.
    if facts.georeference == "gcps":
        return float(facts.height)
    inverse = ~facts.affine
    spans = [1.0]
    for top in np.linspace(0, max(0, grid.height - side), 9):
        cols, rows = np.meshgrid(np.linspace(0, grid.width, 33), [top, min(top + side, grid.height)])
        x, y = operation.inverse(*places(grid.affine, cols.ravel(), rows.ravel()))
        known = np.isfinite(x) & np.isfinite(y)
        col, row = places(inverse, x[known], y[known])
        row = np.clip(row[(col >= 0) & (col <= facts.width)], 0, facts.height)
        if row.size:
            spans.append(float(np.ptp(row)))
    return max(spans)


def kernel_scale(
    facts: RasterFacts, crs: CRS, grid: Grid, operation: Operation
) -> tuple[tuple[float, float], float, float]:
    """Return how many pixels of the grid lie along a pixel of the source, across and down: XSCALE and YSCALE of GDAL.

    A pixel of the grid covers a parallelogram of the source. The scale of an axis is the inverse of the spread that it
    has along that axis, which turning it does not change.

    Parameters
    ----------
    facts
        Of the source.
    crs
        Horizontal CRS of the source.
    grid
        Of the output.
    operation
        From `crs` to the CRS of the grid.

    Returns
    -------
    The scales: medians of samples of the grid that lie within the source, or one without any. Then the share of samples
    that do, and the share of the source's pixels that have a place.
    """
    cols, rows = (v.ravel() for v in np.meshgrid(np.linspace(0, grid.width, 64), np.linspace(0, grid.height, 64)))
    steps = [(0.0, 0.0), (0.5, 0.0), (0.0, 0.5)]
    found = [operation.inverse(*places(grid.affine, cols + right, rows + down)) for right, down in steps]
    (col, row), across, down = (_source_pixels(facts, x, y) for x, y in found)
    spread = [2.0 * np.hypot(across[axis] - here, down[axis] - here) for axis, here in ((0, col), (1, row))]
    inside = (col >= 0) & (col <= facts.width) & (row >= 0) & (row <= facts.height)
    known = inside & np.isfinite(spread[0]) & np.isfinite(spread[1]) & (spread[0] > 0) & (spread[1] > 0)
    if not known.any():
        return (1.0, 1.0), 0.0, 1.0
    # Rounded to what a person can pass to gdalwarp to see the same pixels.
    across_scale, down_scale = (round(1.0 / float(np.median(axis[known])), 6) for axis in spread)
    area = None if facts.georeference == "gcps" else valid_area(crs, facts.affine, facts.width, facts.height, operation)
    placed = float(area.known.mean()) if area else 1.0
    return (across_scale, down_scale), float(known.mean()), placed


def _source_pixels(facts: RasterFacts, x: Points, y: Points) -> tuple[Points, Points]:
    """Return columns and rows of coordinates in the CRS of a raster; infinite ones stay so."""
    if facts.georeference != "gcps":
        return places(~facts.affine, x, y)
    cols, rows, known = np.full_like(x, np.inf), np.full_like(x, np.inf), np.isfinite(x) & np.isfinite(y)
    with GCPTransformer([GroundControlPoint(g.row, g.col, g.x, g.y, g.z) for g in facts.gcps]) as points:
        found = points.rowcol(x[known], y[known], op=np.asarray)
    rows[known], cols[known] = found
    return cols, rows
