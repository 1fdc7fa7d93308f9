"""Footprints of maps and images of the whole Earth: they hold every pixel that has a place, and little else."""

from __future__ import annotations

import math

import numpy as np
import pytest
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from shapely.geometry import shape

from services.stac.items.footprint import footprint

SIDE = 120
R = "+R=6371007.181"
WORLD = 20_037_508.0
DISK = 5_500_000.0
PROJECTIONS = {
    # Projection: half of the side of a square raster around its middle, in metres.
    "+proj=geos +h=35785831 +lon_0=0": DISK, "+proj=geos +h=35785831 +lon_0=140.7": DISK,
    "+proj=geos +h=35785831 +lon_0=-137 +sweep=x": DISK, "+proj=geos +h=35785831 +lon_0=-75": 1_500_000,
    f"+proj=ortho +lat_0=0 +lon_0=0 {R}": 6_400_000, f"+proj=ortho +lat_0=40 +lon_0=170 {R}": 6_400_000,
    f"+proj=ortho +lat_0=90 +lon_0=0 {R}": 6_400_000, f"+proj=nsper +h=3000000 +lat_0=20 +lon_0=30 {R}": 4_000_000,
    f"+proj=sinu {R}": WORLD, f"+proj=sinu +lon_0=150 {R}": WORLD, f"+proj=moll {R}": 18_050_000,
    f"+proj=moll +lon_0=-160 {R}": 18_050_000, f"+proj=robin {R}": 17_100_000, f"+proj=eck4 {R}": 17_000_000,
    f"+proj=eck6 {R}": 17_700_000, f"+proj=wag4 {R}": 17_500_000, f"+proj=aitoff {R}": 20_100_000,
    f"+proj=hammer {R}": 18_050_000, f"+proj=natearth {R}": 17_500_000, f"+proj=eqearth {R}": 17_300_000,
    f"+proj=vandg {R}": WORLD, f"+proj=kav7 {R}": 17_400_000, f"+proj=igh {R}": WORLD, f"+proj=goode {R}": WORLD,
    f"+proj=cea {R}": 20_000_000, f"+proj=mill {R}": 20_000_000, f"+proj=eqc {R}": 20_000_000,
    f"+proj=merc {R}": 20_000_000, f"+proj=laea +lat_0=90 {R}": 9_000_000, f"+proj=laea +lat_0=52 +lon_0=10 {R}": 5e6,
    f"+proj=laea +lat_0=-90 {R}": 4_000_000, f"+proj=aeqd +lat_0=30 +lon_0=100 {R}": 6_000_000,
    f"+proj=stere +lat_0=90 +lat_ts=70 {R}": 4_000_000, f"+proj=stere +lat_0=-90 {R}": 4_000_000,
    f"+proj=lcc +lat_1=30 +lat_2=60 +lon_0=10 {R}": 3_000_000, f"+proj=aea +lat_1=29 +lat_2=45 +lon_0=-96 {R}": 3e6,
    f"+proj=gnom +lat_0=45 +lon_0=20 {R}": 5_000_000, f"+proj=poly +lon_0=-54 {R}": 3_000_000,
    "+proj=omerc +lat_0=4 +lonc=115 +alpha=53 +gamma=53 +k=0.99984 +ellps=evrstSS": 1_500_000,
    "+proj=somerc +lat_0=46.95 +lon_0=7.44 +ellps=bessel": 400_000, "+proj=utm +zone=60": 900_000,
    f"+proj=ob_tran +o_proj=moll +o_lat_p=45 +o_lon_p=0 +lon_0=0 {R}": 18_050_000,
}  # fmt: skip


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_an_outline_holds_every_pixel_with_a_place_and_little_else(projection: str) -> None:
    half = PROJECTIONS[projection]
    crs = CRS.from_proj4(f"{projection} +units=m +type=crs")
    place = Affine(2 * half / SIDE, 0, -half, 0, -2 * half / SIDE, half)
    outline = shape(footprint("a.tif", crs, place, SIDE, SIDE).geometry)
    assert outline.is_valid
    to_geographic = Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    cols, rows = (v.ravel() for v in np.meshgrid(np.arange(SIDE) + 0.5, np.arange(SIDE) + 0.5))
    lon, lat = _places(place, to_geographic, cols, rows)
    known = np.isfinite(lon)
    assert known.any()
    held = shapely.contains_xy(outline.buffer(1e-6), lon[known], lat[known])
    # The edge of the Earth is drawn by straight lines between some 400 points, beyond which a center may lie.
    assert held.mean() > 0.997, f"{np.count_nonzero(~held)} of {held.size} pixels lie outside"
    # Places all over the Earth, evenly: those in the outline lie in a pixel that leads to them.
    count = 20_000
    steps = np.arange(count) + 0.5
    lat = np.degrees(np.arcsin(1 - 2 * steps / count))
    lon = (steps * 180 * (1 + math.sqrt(5))) % 360 - 180
    inside = shapely.contains_xy(outline, lon, lat)
    x, y = to_geographic.transform(lon[inside], lat[inside], direction="INVERSE")
    with np.errstate(invalid="ignore"):
        on_raster = (np.abs(x) <= half * (1 + 2 / SIDE)) & (np.abs(y) <= half * (1 + 2 / SIDE))
    assert inside.any()
    assert on_raster.mean() >= 0.98


def _places(place: Affine, to_geographic: Transformer, cols: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, ...]:
    """Longitudes and latitudes of pixels; infinite for those that lead to another pixel's place, or to none."""
    x, y = place.a * cols + place.c, place.e * rows + place.f
    lon, lat = to_geographic.transform(x, y)
    back_x, back_y = to_geographic.transform(lon, lat, direction="INVERSE")
    with np.errstate(invalid="ignore"):
        known = (np.abs(back_x - x) < place.a / 2) & (np.abs(back_y - y) < place.a / 2) & np.isfinite(lon)
    return np.where(known, lon, np.inf), np.where(known, lat, np.inf)
