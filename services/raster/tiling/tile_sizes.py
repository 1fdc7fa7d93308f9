"""The size of the tiles that an output grid is cut into. Pure; the grid of tiles itself is computed in PostGIS."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from schema.errors import PermanentError

MAX_TILES = 10_000
"""Of a plan: each is a task."""
MAX_ASPECT = 2.0
"""Of a tile: the longer side over the shorter one."""
SMALLEST_SIDE = 64
"""Pixels. Sides of tiles are multiples of this, or of the side of a block where a tile has SOME_BLOCKS or more."""
SOME_BLOCKS = 4
"""Smaller tiles are parts of blocks, each of which is warped once for every tile that has a part of it: little work."""


@dataclass(frozen=True)
class OutputSize:
    """The size of an output grid, and of the blocks that it is warped in."""

    width: int
    height: int
    pixel_bytes: int
    """Of one pixel in all bands, uncompressed."""
    side: int
    """Of the square blocks, in pixels."""

    @property
    def gigabytes(self) -> float:
        """1e9 bytes of uncompressed pixels."""
        return self.width * self.height * self.pixel_bytes / 1e9


@dataclass(frozen=True)
class TileShape:
    """The size of a tile, in pixels."""

    width: int
    height: int

    def count(self, size: OutputSize) -> int:
        """Return the number of tiles of a grid."""
        return math.ceil(size.width / self.width) * math.ceil(size.height / self.height)


def tile_shape(label: str, size: OutputSize, target_gb: float, *, wide: bool) -> TileShape:
    """Return the size of tiles: as few as possible, none of them larger than the target.

    Parameters
    ----------
    label
        Names the raster in errors.
    size
        Of the output grid.
    target_gb
        1e9 bytes of uncompressed pixels. A target larger than the raster makes one tile.
    wide
        Prefer tiles as wide as the grid: a strip of the source is decoded as a whole, and with square tiles it would be
        decoded once for every column of them.

    Raises
    ------
    PermanentError
        too_many_tiles: there would be more than MAX_TILES; tile_too_small: no tile can be as small as the target.
    """
    smallest = min(SMALLEST_SIDE, size.width) * min(SMALLEST_SIDE, size.height) * size.pixel_bytes / 1e9
    if target_gb * (1 + 1e-9) < smallest:
        raise PermanentError(
            f"A tile of {target_gb:g} GB is too small: the smallest of {label} has {smallest:.6g} GB, "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE} pixels.",
            remediation=f"Submit it with a target_tile_size_gb of {smallest:.6g} or more.",
            code="tile_too_small",
        )
    # A target that means a whole number of pixels must not miss it by its last binary digit.
    shape = _shape(size, target_gb * 1e9 / size.pixel_bytes * (1 + 1e-9), wide=wide)
    count = shape.count(size)
    if count > MAX_TILES:
        fitting = smallest_target(size, wide=wide)
        raise PermanentError(
            f"{label} has {size.gigabytes:.6g} GB of pixels, which makes {count:,} tiles of {target_gb:g} GB; a plan "
            f"has at most {MAX_TILES:,}.",
            remediation=f"Submit it with a target_tile_size_gb of {fitting:.6g} or more.",
            code="too_many_tiles",
        )
    return shape


def smallest_target(size: OutputSize, *, wide: bool) -> float:
    """Return the smallest target, in gigabytes, with which a plan has no more than MAX_TILES."""
    step = SMALLEST_SIDE**2
    fewest = max(1, size.width * size.height // MAX_TILES // step)
    fitting = next(n for n in itertools.count(fewest) if _shape(size, n * step, wide=wide).count(size) <= MAX_TILES)
    exact = fitting * step * size.pixel_bytes / 1e9
    # Rounded up to the six digits that the message shows, so that what it says works.
    digit = 10.0 ** (math.floor(math.log10(exact)) - 5)
    return math.ceil(exact / digit) * digit


def _shape(size: OutputSize, pixels: float, *, wide: bool) -> TileShape:
    sides = [side for side in (size.side, 256, 128) if side <= size.side and pixels >= SOME_BLOCKS * side**2]
    unit = next(iter(sides), SMALLEST_SIDE)
    cols, rows, units = math.ceil(size.width / unit), math.ceil(size.height / unit), max(1, int(pixels / unit**2))
    if units >= cols * rows:
        return TileShape(cols * unit, rows * unit)
    # Only when a tile can hold a whole row of units; else strips are decoded more than once, whatever the shape.
    if wide and units >= cols:
        return _even(TileShape(cols * unit, units // cols * unit), cols, rows, unit)
    # Widths of tiles that are not far from square.
    most, root = min(cols, units), math.sqrt(units)
    widths = range(max(1, min(most, int(root / MAX_ASPECT))), min(most, math.ceil(root * MAX_ASPECT)) + 1)
    shapes = [TileShape(n * unit, min(rows, units // n) * unit) for n in widths]
    narrow = [shape for shape in shapes if _aspect(shape) <= MAX_ASPECT]
    return _even(min(narrow or shapes, key=lambda shape: (shape.count(size), _aspect(shape))), cols, rows, unit)


def _even(shape: TileShape, cols: int, rows: int, unit: int) -> TileShape:
    """Return a size that makes the tiles of a row, and of a column, about equal: no slivers at the edges."""
    across, down = math.ceil(cols * unit / shape.width), math.ceil(rows * unit / shape.height)
    return TileShape(math.ceil(cols / across) * unit, math.ceil(rows / down) * unit)


def _aspect(shape: TileShape) -> float:
    return max(shape.width / shape.height, shape.height / shape.width)
