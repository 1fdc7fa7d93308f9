"""Blocks: the windows in which rasters are read and written, so that memory does not grow with their size. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rasterio.windows import Window

from services.raster.source.facts import RasterFacts

CHUNK_BYTES = 16_000_000
"""Uncompressed bytes of the pixels that are held at once."""
MAX_BLOCK_BYTES = 96_000_000
"""Uncompressed. GDAL decodes a block as a whole, so a larger one cannot be read in bounded memory."""
SIDES = (512, 256, 128)
"""Of square blocks, in pixels. 512 is the default of GDAL's COG driver."""


def block_side(pixel_bytes: int) -> int:
    """Return the side, in pixels, of the square blocks that outputs are made of.

    A block of all bands has at most CHUNK_BYTES, unless the smallest side has more. The side depends on the source
    alone, since tiles of a raster fit together bit for bit only when all are warped in blocks of the same side.
    """
    return next((side for side in SIDES if side * side * pixel_bytes <= CHUNK_BYTES), SIDES[-1])


def windows(width: int, height: int, side: int) -> Iterator[Window]:
    """Yield the squares of a grid, row by row from the top left; those at the right and the bottom may be smaller."""
    yield from windows_of_shape(width, height, side, side)


def chunks(facts: RasterFacts) -> Iterator[Window]:
    """Yield windows of a raster that follow its own blocks, so that each block is decoded once."""
    yield from windows_of_shape(facts.width, facts.height, *chunk_shape(facts))


def chunk_shape(facts: RasterFacts, chunk_bytes: int = CHUNK_BYTES) -> tuple[int, int]:
    """Return rows and columns of a chunk: whole blocks, at least one, of about `chunk_bytes` together."""
    rows, cols = facts.block_shape
    # Several blocks at once give GDAL's threads something to share.
    across = max(1, chunk_bytes // max(1, rows * cols * facts.pixel_bytes))
    if cols >= facts.width:
        return min(rows * across, facts.height), facts.width
    return rows, min(cols * across, facts.width)


def parts(window: Window, block_shape: tuple[int, int]) -> Iterator[Window]:
    """Yield the blocks of a chunk. `block_shape` is rows, columns; the chunk begins at a block's corner."""
    rows, cols = block_shape
    for part in windows_of_shape(int(window.width), int(window.height), rows, cols):
        yield Window(part.col_off + window.col_off, part.row_off + window.row_off, part.width, part.height)


def windows_of_shape(width: int, height: int, rows: int, cols: int) -> Iterator[Window]:
    """Yield the rectangles of a grid, row by row from the top left.

    Parameters
    ----------
    width, height
        Of the grid, in pixels.
    rows, cols
        Of a rectangle, in pixels; those at the right and the bottom may be smaller.
    """
    for row in range(0, height, rows):
        for col in range(0, width, cols):
            yield Window(col, row, min(cols, width - col), min(rows, height - row))


def strip_side(facts: RasterFacts) -> int:
    """Return the rows of the tiles that a raster in strips is copied into."""
    # The copy is written strip by strip, so that a whole row of tiles is held until it is full.
    row_bytes = facts.width * facts.pixel_bytes
    return next((rows for rows in (512, 256, 128, 64, 32) if rows * row_bytes <= CHUNK_BYTES), 16)
