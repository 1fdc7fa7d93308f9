"""Georeference: the CRS of a raster, and the grid that it is warped to.

Longitudes are kept continuous: a raster over the antimeridian gets a grid that runs on past 180 degrees, rather than
one that spans the world.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.io import DatasetReader
from rasterio.vrt import WarpedVRT
from rasterio.windows import Window

from schema.jobs import Json
from services.crs import crs_label, crs_not_transformable, parse_crs, same_crs, transformer_between
from services.raster import errors
from services.raster.source.facts import RasterFacts

SAMPLES = 21
"""Along each side of a raster."""
Points = npt.NDArray[np.float64]
Transform = tuple[float, float, float, float, float, float]
"""a, b, c, d, e, f of affine.Affine: x = a col + b row + c."""


@dataclass(frozen=True)
class Grid:
    """The pixels of an output: CRS, geotransform and size."""

    crs_wkt: str
    transform: Transform
    width: int
    height: int

    @property
    def affine(self) -> Affine:
        """The geotransform."""
        return Affine(*self.transform)

    def part(self, window: Window) -> Grid:
        """Return the grid of a window of this one."""
        a, b, _, d, e, _ = self.transform
        x, y = self.affine @ (int(window.col_off), int(window.row_off))
        return Grid(self.crs_wkt, (a, b, x, d, e, y), int(window.width), int(window.height))


@dataclass(frozen=True)
class SourceCrs:
    """The CRS that a raster is taken to be in."""

    crs: CRS
    warnings: tuple[Json, ...] = ()


def source_crs(label: str, facts: RasterFacts, requested: str | None) -> SourceCrs:
    """Return the caller's CRS, else the file's.

    Raises
    ------
    PermanentError
        crs_missing, crs_unknown, or not_georeferenced: neither a geotransform nor control points give a position.
    """
    own = CRS.from_wkt(facts.crs_wkt) if facts.crs_wkt else None
    crs = parse_crs(requested) if requested else own
    if crs is None:
        raise errors.crs_missing(label=label)
    if facts.georeference in ("none", "rpcs"):
        raise errors.not_georeferenced(label=label)
    if own and requested and not same_crs(own, crs):
        message = f"The CRS of the file, {crs_label(own)}, was overridden by source_crs, {crs_label(crs)}."
        return SourceCrs(crs, ({"code": "source_crs_overridden", "message": message, "count": 1},))
    return SourceCrs(crs)


def plan_grid(label: str, dataset: DatasetReader, facts: RasterFacts, crs: CRS, target: CRS) -> Grid:
    """Return the grid that a raster is warped to.

    It is the one that GDAL suggests, which keeps the number of pixels along the diagonal, except where that would span
    the world (over the antimeridian), lose the resolution (over a pole) or be infinite (Mercator at the poles).

    Parameters
    ----------
    label
        Names the file in errors.
    dataset
        Open raster; only its header is read.
    facts
        Of the dataset.
    crs
        Horizontal CRS of the dataset.
    target
        CRS of the grid.

    Returns
    -------
    Grid
        In `target`; longitudes run on beyond 180 degrees rather than jump at the antimeridian.

    Raises
    ------
    PermanentError
        crs_not_transformable: the raster does not lie where the target CRS is defined; longitudes_beyond_180.
    """
    to_target = transformer_between(label, crs, target)
    check_longitudes(label, facts, crs)
    found = None
    if target.is_geographic and facts.georeference != "gcps":
        found = _geographic_grid(facts, crs, to_target)
    if crs.is_geographic and facts.georeference == "north_up" and is_mercator(target):
        found = _mercator_grid(facts, target, to_target)
    if found is None:
        try:
            with WarpedVRT(dataset, src_crs=crs.to_wkt(), crs=target.to_wkt()) as vrt:
                found = tuple(vrt.transform)[:6], vrt.width, vrt.height
        except errors.GDAL_ERRORS as exc:
            raise crs_not_transformable(label, crs, target) from exc
    transform, width, height = found
    # PROJ answers with infinity outside the area where a projection is defined.
    if not (width > 0 and height > 0 and np.isfinite(transform).all()):
        raise crs_not_transformable(label, crs, target)
    return Grid(target.to_wkt(), transform, width, height)


Suggestion = tuple[Transform, int, int]


def _geographic_grid(facts: RasterFacts, crs: CRS, to_target: Transformer) -> Suggestion | None:
    if crs.is_geographic and facts.georeference == "north_up":
        return None
    # GDAL's suggestion for a raster over the antimeridian spans all 360 degrees, in as few columns as it has.
    cols, rows = sample_pixels(facts.width, facts.height)
    lon, lat = (np.asarray(v) for v in to_target.transform(*places(facts.affine, cols, rows)))
    # Three points are the least that have an area.
    known = np.isfinite(lon) & np.isfinite(lat)
    if known.sum() < 3:
        return None
    # Around a pole every longitude occurs, and those of the samples say nothing about the width.
    pole = pole_inside(facts.width, facts.height, facts.affine, to_target)
    if pole:
        return _polar_grid(facts, lat[known], pole, to_target)
    lon = unwrap(lon[known])
    if lon.min() >= -180 and lon.max() <= 180:
        return None
    bounds = float(lon.min()), float(lat[known].min()), float(lon.max()), float(lat[known].max())
    diagonal = math.hypot(bounds[2] - bounds[0], bounds[3] - bounds[1])
    return _grid_of(bounds, diagonal / math.hypot(facts.width, facts.height))


def check_longitudes(label: str, facts: RasterFacts, crs: CRS) -> None:
    """Check that a geographic raster keeps its longitudes within 180 degrees, before it is reprojected.

    Raises
    ------
    PermanentError
        longitudes_beyond_180: it counts them from 0 to 360, or further.
    """
    # The warp asks PROJ for the longitude of each output pixel, and PROJ answers between -180 and 180: pixels of the
    # source beyond that would never be found.
    if not crs.is_geographic or facts.georeference == "gcps":
        return
    lons = [(facts.affine @ corner)[0] for corner in ((0, 0), (facts.width, 0), (0, facts.height))]
    pixel = math.hypot(facts.transform[0], facts.transform[1])
    # A world raster may end up to a pixel beyond, when its positions are those of the pixels' centers.
    if min(lons) < -180 - pixel or max(lons) > 180 + pixel:
        raise errors.longitudes_beyond_180(label=label, longitude=max(lons))


def is_mercator(target: CRS) -> bool:
    """Whether a projection goes to infinity at the poles."""
    method = target.coordinate_operation.method_name if target.coordinate_operation else ""
    return "Mercator" in method and "Transverse" not in method and "Oblique" not in method


def _mercator_grid(facts: RasterFacts, target: CRS, to_target: Transformer) -> Suggestion | None:
    area = target.area_of_use
    cols, rows = sample_pixels(facts.width, facts.height)
    lon, lat = places(facts.affine, cols, rows)
    # Where Web Mercator's square ends: https://epsg.io/3857
    south, north = (area.south, area.north) if area else (-85.06, 85.06)
    if lat.min() >= south and lat.max() <= north:
        return None
    x, y = (np.asarray(v) for v in to_target.transform(lon, np.clip(lat, south, north)))
    if float(np.ptp(y)) <= 0:
        return None
    # The resolution at the equator, or where the raster comes nearest to it, is that of the pixels.
    return _grid_of((float(x.min()), float(y.min()), float(x.max()), float(y.max())), float(np.ptp(x)) / facts.width)


def _polar_grid(facts: RasterFacts, lat: Points, pole: int, to_target: Transformer) -> Suggestion:
    # Along a circle of latitude near the pole degrees say nothing about size; along a meridian they do.
    middle = np.array([facts.width * 0.25, facts.width * 0.25 + 1.0]), np.full(2, facts.height * 0.5)
    down = np.full(2, facts.width * 0.25), np.array([facts.height * 0.5, facts.height * 0.5 + 1.0])
    steps = [np.diff(np.asarray(to_target.transform(*places(facts.affine, *pair))[1]))[0] for pair in (middle, down)]
    size = math.hypot(*steps)
    bounds = (-180.0, -90.0, 180.0, float(lat.max())) if pole < 0 else (-180.0, float(lat.min()), 180.0, 90.0)
    return _grid_of(bounds, size)


def _grid_of(bounds: tuple[float, float, float, float], size: float) -> Suggestion:
    west, south, east, north = bounds
    # Less than a millionth of a pixel is a rounding error, and no pixel of its own.
    width, height = math.ceil((east - west) / size - 1e-6), math.ceil((north - south) / size - 1e-6)
    return (size, 0.0, west, 0.0, -size, north), max(1, width), max(1, height)


def sample_pixels(width: int, height: int) -> tuple[Points, Points]:
    """Return columns and rows of SAMPLES x SAMPLES points from edge to edge of a raster, each of shape (441,)."""
    cols, rows = np.meshgrid(np.linspace(0, width, SAMPLES), np.linspace(0, height, SAMPLES))
    return cols.ravel(), rows.ravel()


def places(affine: Affine, cols: Points, rows: Points) -> tuple[Points, Points]:
    """Return x and y of pixel positions by a geotransform; all arrays have the shape of `cols`.

    Positions are corners of pixels: (0, 0) is the top left corner of the raster.
    """
    a, b, c, d, e, f = tuple(affine)[:6]
    return a * cols + b * rows + c, d * cols + e * rows + f


def unwrap(lon: Points) -> Points:
    """Return longitudes in degrees, each shifted by multiples of 360 to within 180 degrees of the middle one."""
    middle = lon[len(lon) // 2]
    shifted: Points = lon - 360.0 * np.round((lon - middle) / 360.0)
    return shifted


def pole_inside(width: int, height: int, affine: Affine, to_geographic: Transformer) -> int:
    """Return which pole lies within a raster in a projected CRS: 1 for north, -1 for south, 0 for none.

    `to_geographic` leads from the raster's CRS to longitude and latitude.
    """
    inverse, lons = ~affine, np.array([0.0, 90.0, 180.0, -90.0])
    for pole in (1, -1):
        try:
            x, y = to_geographic.transform(0.0, 90.0 * pole, direction="INVERSE")
            lon, lat = to_geographic.transform(x, y)
        except ProjError:
            continue
        col, row = inverse @ (x, y)
        # In cylindrical projections a pole is a line, or at infinity: the way there and back does not return to it, and
        # each longitude has a pole of its own.
        xs, ys = to_geographic.transform(lons, np.full(4, 90.0 * pole), direction="INVERSE")
        one_point = bool(np.isfinite(xs).all() and np.ptp(xs) < 1.0 and np.ptp(ys) < 1.0)
        one_point = one_point and math.isfinite(lon) and abs(lat - 90.0 * pole) < 1e-6
        if one_point and 0 <= col <= width and 0 <= row <= height:
            return pole
    return 0


def row_span(facts: RasterFacts, grid: Grid, to_target: Transformer, side: int) -> float:
    """Return how many rows of the source a row of blocks of the grid touches at most, by samples.

    Parameters
    ----------
    facts
        Of the source.
    grid
        Of the output.
    to_target
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
        x, y = to_target.transform(*places(grid.affine, cols.ravel(), rows.ravel()), direction="INVERSE")
        known = np.isfinite(x) & np.isfinite(y)
        col, row = places(inverse, np.asarray(x)[known], np.asarray(y)[known])
        row = np.clip(row[(col >= 0) & (col <= facts.width)], 0, facts.height)
        if row.size:
            spans.append(float(np.ptp(row)))
    return max(spans)
