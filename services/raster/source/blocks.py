"""Blocks: the windows in which rasters are read and written, so that memory does not grow with their size. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from rasterio.windows import Window

from services.raster.source.facts import RasterFacts

CHUNK_BYTES = 16_000_000
"""Uncompressed pixels that are held at once."""
MAX_BLOCK_BYTES = 96_000_000
"""GDAL decodes a block as a whole, so a larger one cannot be read in bounded memory."""
SIDES = (512, 256, 128)


def block_side(pixel_bytes: int) -> int:
    """Choose the side of the square blocks that outputs are made of: a block of all bands stays below CHUNK_BYTES.

    Tiles of a raster fit together bit for bit only when all are warped in blocks of the same side.
    """
    return next((side for side in SIDES if side * side * pixel_bytes <= CHUNK_BYTES), SIDES[-1])


def windows(width: int, height: int, side: int) -> Iterator[Window]:
    """Cut a grid into squares, row by row from the top left; those at the right and the bottom may be smaller."""
    for row in range(0, height, side):
        for col in range(0, width, side):
            yield Window(col, row, min(side, width - col), min(side, height - row))


def chunks(facts: RasterFacts) -> Iterator[Window]:
    """Cut a raster along its own blocks, so that each is decoded once; several at once, for the threads."""
    rows, cols = chunk_shape(facts)
    for row in range(0, facts.height, rows):
        for col in range(0, facts.width, cols):
            yield Window(col, row, min(cols, facts.width - col), min(rows, facts.height - row))


def chunk_shape(facts: RasterFacts) -> tuple[int, int]:
    """Choose rows and columns of a chunk: whole blocks, at least one, about CHUNK_BYTES."""
    rows, cols = facts.block_shape
    across = max(1, CHUNK_BYTES // max(1, rows * cols * facts.pixel_bytes))
    if cols >= facts.width:
        return min(rows * across, facts.height), facts.width
    return rows, min(cols * across, facts.width)


def parts(window: Window, block_shape: tuple[int, int]) -> Iterator[Window]:
    """Cut a chunk into its blocks."""
    rows, cols = block_shape
    for part in windows_of_shape(int(window.width), int(window.height), rows, cols):
        yield Window(part.col_off + window.col_off, part.row_off + window.row_off, part.width, part.height)


def windows_of_shape(width: int, height: int, rows: int, cols: int) -> Iterator[Window]:
    """Cut a grid into rectangles, row by row from the top left."""
    for row in range(0, height, rows):
        for col in range(0, width, cols):
            yield Window(col, row, min(cols, width - col), min(rows, height - row))


def strip_side(facts: RasterFacts) -> int:
    """Choose the rows of the tiles that a raster in strips is cut into: a row of tiles stays below CHUNK_BYTES."""
    row_bytes = facts.width * facts.pixel_bytes
    return next((rows for rows in (512, 256, 128, 64, 32) if rows * row_bytes <= CHUNK_BYTES), 16)
