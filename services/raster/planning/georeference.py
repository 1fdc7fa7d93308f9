"""Georeference: the CRS of a raster, grids of pixels, and the way between pixels and coordinates. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.windows import Window

from schema.jobs import Json
from services.crs import Values, crs_label, parse_crs, same_crs
from services.raster import errors
from services.raster.source.facts import RasterFacts

SAMPLES = 21
"""Along each side of a raster."""
Points = Values
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
    # First, since naming a CRS would not help.
    if facts.georeference in ("none", "rpcs"):
        raise errors.not_georeferenced(label=label)
    if crs is None:
        raise errors.crs_missing(label=label)
    if own and requested and not same_crs(own, crs):
        message = f"The CRS of the file, {crs_label(own)}, was overridden by source_crs, {crs_label(crs)}."
        return SourceCrs(crs, ({"code": "source_crs_overridden", "message": message, "count": 1},))
    return SourceCrs(crs)


def sample_pixels(width: int, height: int) -> tuple[Points, Points]:
    """Return columns and rows of SAMPLES x SAMPLES points from edge to edge of a raster, each of shape (441,)."""
    cols, rows = np.meshgrid(np.linspace(0, width, SAMPLES), np.linspace(0, height, SAMPLES))
    return cols.ravel(), rows.ravel()


def places(affine: Affine, cols: Points, rows: Points) -> tuple[Points, Points]:
    """Return coordinates of pixel positions.

    Parameters
    ----------
    affine
        A geotransform, or the inverse of one, which maps coordinates to columns and rows.
    cols, rows
        Arrays of one shape. (0, 0) is the top left corner of the raster, (0.5, 0.5) the center of its first pixel.

    Returns
    -------
    x and y, each of the shape of `cols`, in units of the CRS.
    """
    a, b, c, d, e, f = tuple(affine)[:6]
    # PROJ answers with infinity where a place does not exist, and infinity times zero is a warning.
    with np.errstate(invalid="ignore"):
        return a * cols + b * rows + c, d * cols + e * rows + f


def unwrap(lon: Points) -> Points:
    """Return longitudes in degrees, shape (n,), each shifted by multiples of 360 to within 180 of the middle one."""
    middle = lon[len(lon) // 2]
    shifted: Points = lon - 360.0 * np.round((lon - middle) / 360.0)
    return shifted


def pole_inside(width: int, height: int, affine: Affine, to_geographic: Transformer) -> int:
    """Return which pole lies within a raster in a projected CRS: 1 for north, -1 for south, 0 for none.

    Parameters
    ----------
    width, height
        Columns and rows.
    affine
        The geotransform.
    to_geographic
        From the raster's CRS to longitude and latitude in degrees.
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
