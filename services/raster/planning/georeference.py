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
        """Give the grid of a window of this one."""
        a, b, _, d, e, _ = self.transform
        x, y = self.affine @ (int(window.col_off), int(window.row_off))
        return Grid(self.crs_wkt, (a, b, x, d, e, y), int(window.width), int(window.height))


@dataclass(frozen=True)
class SourceCrs:
    """The CRS that a raster is taken to be in."""

    crs: CRS
    warnings: tuple[Json, ...] = ()


def source_crs(label: str, facts: RasterFacts, wished: str | None) -> SourceCrs:
    """Choose the CRS: the caller's, else the file's.

    Raises
    ------
    PermanentError
        There is none, PROJ does not know it, or nothing says where the pixels lie.
    """
    own = CRS.from_wkt(facts.crs_wkt) if facts.crs_wkt else None
    crs = parse_crs(wished) if wished else own
    if crs is None:
        raise errors.crs_missing(label=label)
    if facts.georeference in ("none", "rpcs"):
        raise errors.not_georeferenced(label=label)
    if own and wished and not same_crs(own, crs):
        message = f"The file says {crs_label(own)}; it was taken to be in {crs_label(crs)}, as source_crs asks."
        return SourceCrs(crs, ({"code": "source_crs_overridden", "message": message, "count": 1},))
    return SourceCrs(crs)


def plan_grid(label: str, dataset: DatasetReader, facts: RasterFacts, crs: CRS, target: CRS) -> Grid:
    """Choose the grid that a raster is warped to: GDAL's, which keeps the number of pixels along the diagonal.

    Where GDAL would span the world (over the antimeridian) or lose the resolution (over a pole), a grid of our own.

    Raises
    ------
    PermanentError
        The raster does not lie where the target CRS is defined.
    """
    to_target = transformer_between(label, crs, target)
    check_longitudes(label, facts, crs)
    own = None
    if target.is_geographic and facts.georeference != "gcps":
        own = _geographic_grid(facts, crs, to_target)
    if crs.is_geographic and facts.georeference == "north_up" and is_mercator(target):
        own = _mercator_grid(facts, target, to_target)
    if own is None:
        own = _suggested(label, dataset, crs, target)
    transform, width, height = own
    if not (width > 0 and height > 0 and np.isfinite(transform).all()):
        raise crs_not_transformable(label, crs, target)
    return Grid(target.to_wkt(), transform, width, height)


Suggestion = tuple[Transform, int, int]


def _suggested(label: str, dataset: DatasetReader, crs: CRS, target: CRS) -> Suggestion:
    try:
        with WarpedVRT(dataset, src_crs=crs.to_wkt(), crs=target.to_wkt()) as vrt:
            return tuple(vrt.transform)[:6], vrt.width, vrt.height
    except errors.GDAL_ERRORS as exc:
        raise crs_not_transformable(label, crs, target) from exc


def _geographic_grid(facts: RasterFacts, crs: CRS, to_target: Transformer) -> Suggestion | None:
    if crs.is_geographic and facts.georeference == "north_up":
        return None
    cols, rows = sample_pixels(facts.width, facts.height)
    lon, lat = (np.asarray(v) for v in to_target.transform(*places(facts.affine, cols, rows)))
    known = np.isfinite(lon) & np.isfinite(lat)
    if known.sum() < 3:
        return None
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
    """See that PROJ, which gives longitudes up to 180 degrees, will find its way back to the pixels.

    Raises
    ------
    PermanentError
        The raster counts them from 0 to 360, or further. Without reprojection it stays as it is, which is well.
    """
    if not crs.is_geographic or facts.georeference == "gcps":
        return
    lons = [(facts.affine @ corner)[0] for corner in ((0, 0), (facts.width, 0), (0, facts.height))]
    pixel = math.hypot(facts.transform[0], facts.transform[1])
    if min(lons) < -180 - pixel or max(lons) > 180 + pixel:
        raise errors.longitudes_beyond_180(label=label, longitude=max(lons))


def is_mercator(target: CRS) -> bool:
    """Tell whether a projection runs off to infinity at the poles."""
    method = target.coordinate_operation.method_name if target.coordinate_operation else ""
    return "Mercator" in method and "Transverse" not in method and "Oblique" not in method


def _mercator_grid(facts: RasterFacts, target: CRS, to_target: Transformer) -> Suggestion | None:
    area = target.area_of_use
    cols, rows = sample_pixels(facts.width, facts.height)
    lon, lat = places(facts.affine, cols, rows)
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
    width, height = math.ceil((east - west) / size - 1e-6), math.ceil((north - south) / size - 1e-6)
    return (size, 0.0, west, 0.0, -size, north), max(1, width), max(1, height)


def sample_pixels(width: int, height: int) -> tuple[Points, Points]:
    """Give columns and rows of SAMPLES x SAMPLES places that cover a raster from edge to edge, row by row."""
    cols, rows = np.meshgrid(np.linspace(0, width, SAMPLES), np.linspace(0, height, SAMPLES))
    return cols.ravel(), rows.ravel()


def places(affine: Affine, cols: Points, rows: Points) -> tuple[Points, Points]:
    """Apply a geotransform to many pixels at once."""
    a, b, c, d, e, f = tuple(affine)[:6]
    return a * cols + b * rows + c, d * cols + e * rows + f


def unwrap(lon: Points) -> Points:
    """Shift longitudes by whole turns so that all lie within half a turn of the first."""
    middle = lon[len(lon) // 2]
    shifted: Points = lon - 360.0 * np.round((lon - middle) / 360.0)
    return shifted


def pole_inside(width: int, height: int, affine: Affine, to_geographic: Transformer) -> int:
    """Tell which pole lies within a projected raster: 1, -1, or 0 for none."""
    inverse = ~affine
    for pole in (1, -1):
        try:
            x, y = to_geographic.transform(0.0, 90.0 * pole, direction="INVERSE")
            lon, lat = to_geographic.transform(x, y)
        except ProjError:
            continue
        col, row = inverse @ (x, y)
        # Cylindrical projections have no one point for a pole: there and back does not lead to it.
        one_point = math.isfinite(lon) and abs(lat - 90.0 * pole) < 1e-6 and _is_one_point(to_geographic, pole)
        if one_point and 0 <= col <= width and 0 <= row <= height:
            return pole
    return 0


def _is_one_point(to_geographic: Transformer, pole: int) -> bool:
    lons = np.array([0.0, 90.0, 180.0, -90.0])
    x, y = to_geographic.transform(lons, np.full(4, 90.0 * pole), direction="INVERSE")
    return bool(np.isfinite(x).all() and np.ptp(x) < 1.0 and np.ptp(y) < 1.0)


def row_span(facts: RasterFacts, grid: Grid, to_target: Transformer, side: int) -> float:
    """Give the rows of the source that a row of blocks of the grid touches, at most, as sampled."""
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
