"""Temporary files in tiles, so that the next step can read them in any order; lightly compressed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.io import DatasetWriter
from rasterio.windows import Window

from services.raster.errors import GDAL_ERRORS, writing
from services.raster.planning.georeference import Grid
from services.raster.source.blocks import strip_side
from services.raster.source.facts import RasterFacts
from services.raster.source.gdal import threads
from services.raster.source.statistics import Pixels, Validity

_LIGHT = {
    "driver": "GTiff",
    "tiled": True,
    "compress": "zstd",
    # Read once and then deleted: speed counts.
    "zstd_level": 1,
    "bigtiff": "IF_SAFER",
    # Blocks that are never written take no space: a copy for one tile has the size of the whole source.
    "sparse_ok": True,
}


@dataclass
class TileWriter:
    """Writes blocks of all bands, and the mask band where there is one."""

    dataset: DatasetWriter
    folder: Path

    def write(self, block: Pixels, mask: Validity | None, window: Window) -> None:
        """Write a block, shape (bands, rows, columns), to a window of the file.

        `mask` has the shape (rows, columns); None leaves the mask band alone. Raises DiskFull, OutputFailed.
        """
        with writing(self.folder):
            self.dataset.write(block, window=window)
            if mask is not None:
                self.dataset.write_mask(mask.astype(np.uint8) * 255, window=window)


@contextmanager
def copy_writer(path: Path, facts: RasterFacts) -> Iterator[TileWriter]:
    """Open a new file for a copy of a source, with its size, position and alpha band."""
    points = [GroundControlPoint(g.row, g.col, g.x, g.y, g.z) for g in facts.gcps]
    place = {"gcps": points} if facts.georeference == "gcps" else {"transform": facts.affine}
    with _create(path, facts, facts.width, facts.height, strip_side(facts), crs=facts.crs_wkt, **place) as writer:
        # Without it GDAL would take an alpha band for one more value.
        if facts.alpha_band:
            writer.dataset.colorinterp = [ColorInterp[band.color] for band in facts.bands]
        yield writer


@contextmanager
def grid_writer(path: Path, facts: RasterFacts, grid: Grid, side: int) -> Iterator[TileWriter]:
    """Open a new file for the pixels of a grid, in blocks of `side` rows, with the bands and data type of `facts`."""
    place = {"crs": grid.crs_wkt, "transform": grid.affine}
    with _create(path, facts, grid.width, grid.height, side, **place) as writer:
        yield writer


@contextmanager
def _create(
    path: Path, facts: RasterFacts, width: int, height: int, side: int, **place: object
) -> Iterator[TileWriter]:
    # Up to four bands are mostly a picture, whose bands are read together; of more a reader wants some.
    interleave = "pixel" if facts.count <= 4 else "band"
    # TIFF wants multiples of 16; narrower tiles than 256 would be very many in a wide raster.
    blocks = {"blockxsize": max(side, 256), "blockysize": side}
    size = {"width": width, "height": height, "count": facts.count, "dtype": facts.dtype}
    layout = {"interleave": interleave, "nodata": None, "num_threads": threads(), **_LIGHT, **blocks}
    with writing(path.parent):
        dataset = rasterio.open(path, "w", **layout, **size, **place)
    try:
        # Not within `writing`: what fails in the block may be a source that cannot be read.
        yield TileWriter(dataset, path.parent)
    except BaseException:
        with suppress(*GDAL_ERRORS, OSError):
            dataset.close()
        raise
    # Closing writes the last blocks.
    with writing(path.parent):
        dataset.close()
