"""Cutting one tile: its pixels are made in the blocks of the whole output grid, from as little of a remote source as
they need.

A tile keeps its part of each block, so it is bit for bit what the whole raster has there, whatever its size: see
warp.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from services.raster.errors import GDAL_ERRORS, check_disk, first_line, reading, tile_damaged
from services.raster.output.tiled_file import copy_writer, grid_writer
from services.raster.output.warp import block_validity, open_warped, read_block
from services.raster.output.warp_vrt import adds_alpha
from services.raster.planning.georeference import Grid
from services.raster.planning.plan import RasterPlan
from services.raster.source.blocks import CHUNK_BYTES, chunk_shape, windows
from services.raster.source.facts import RasterFacts
from services.raster.source.gdal import CACHE_BYTES, open_tiff
from services.raster.source.scan import read_mask
from services.raster.source.statistics import Pixels, RasterStatistics, Validity
from services.raster.tiling.block_ranges import BlockRanges, Range, missing_is_nodata, read_block_ranges
from services.raster.tiling.reach import Reach, reach_of
from services.raster.tiling.spool import SpooledFile


@dataclass(frozen=True)
class Cut:
    """One tile: its raster, its window of the output grid, and what it needs of the source."""

    label: str
    tile_id: str
    plan: RasterPlan
    window: Window
    """In pixels of the output grid."""
    side: int
    """Of the blocks, in pixels."""
    reach: Reach
    ranges: BlockRanges
    """Those under the tile."""
    folder: Path
    """On this disk, for files that are needed meanwhile."""
    check: Callable[[], None]
    """Is called before each block, and raises to stop."""
    cache_bytes: int = CACHE_BYTES
    """GDAL's cache, which strips must fit or be copied into tiles first."""
    chunk_bytes: int = CHUNK_BYTES
    """Pixels that are copied at once."""

    @property
    def grid(self) -> Grid:
        """The grid of the tile."""
        return output_grid(self.plan).part(self.window)

    @property
    def blocks(self) -> Iterator[tuple[int, int, Window]]:
        """Row and column, from 0, of each block that the tile has pixels of, and its window of the output grid."""
        around = aligned(self.window, self.side, output_grid(self.plan))
        for window in windows(int(around.width), int(around.height), self.side):
            row, col = int(window.row_off) // self.side, int(window.col_off) // self.side
            place = around.col_off + window.col_off, around.row_off + window.row_off
            yield row, col, Window(*place, window.width, window.height)

    def is_empty(self, row: int, col: int) -> bool:
        """Whether a block has no valid pixel, as far as that is known without reading it."""
        box = self.reach.boxes[row, col]
        # A block may cover pixels that were not sampled.
        if not self.reach.sure:
            return False
        outside = self.plan.warp is not None and box[1] <= box[0]
        return outside or (missing_is_nodata(self.plan) and self.ranges.is_missing(box))


def plan_cut(
    label: str,
    tile_id: str,
    plan: RasterPlan,
    dataset: DatasetReader,
    window: Window,
    side: int,
    folder: Path,
    check: Callable[[], None],
    cache_bytes: int = CACHE_BYTES,
    chunk_bytes: int = CHUNK_BYTES,
) -> Cut:
    """Return what a tile needs of a source; only the header of `dataset` is read."""
    facts, warp = plan.facts, plan.warp
    grid = warp.grid if warp else None
    # Control points have no inverse here: GDAL finds the pixels, and nothing is known before they are read.
    way = None
    if warp and facts.georeference != "gcps":
        way = warp.operation
    reach = reach_of(facts, grid, way, aligned(window, side, output_grid(plan)), side)
    ranges = read_block_ranges(dataset, facts, reach.whole)
    return Cut(label, tile_id, plan, window, side, reach, ranges, folder, check, cache_bytes, chunk_bytes)


def aligned(window: Window, side: int, grid: Grid) -> Window:
    """Return the window of all blocks of a grid that a window has pixels of.

    Parameters
    ----------
    window
        In pixels of the grid.
    side
        Of the square blocks, in pixels; the first begins at the grid's top left corner.
    grid
        Where it ends, its blocks are cut off.
    """
    left, top = int(window.col_off) // side * side, int(window.row_off) // side * side
    right = min(grid.width, math.ceil((window.col_off + window.width) / side) * side)
    bottom = min(grid.height, math.ceil((window.row_off + window.height) / side) * side)
    return Window(left, top, right - left, bottom - top)


def output_grid(plan: RasterPlan) -> Grid:
    """Return the grid of the whole output, which all tiles share."""
    if plan.warp:
        return plan.warp.grid
    return Grid(plan.native_crs_wkt or "", plan.facts.transform, plan.facts.width, plan.facts.height)


def cut_tile(cut: Cut, dataset: DatasetReader, file: SpooledFile, target: Path) -> RasterStatistics:
    """Write the pixels of a tile into a file, and return their statistics. Without a valid pixel no file is written.

    Memory is that of a block, of GDAL's cache and of a warp; the disk is checked first.

    Raises
    ------
    PermanentError
        raster_damaged: pixels that the tile needs cannot be read.
    DiskFull
        The disk has too little room for the tile's part of the source and for the pixels.
    """
    plan, warp, facts = cut.plan, cut.plan.warp, cut.plan.facts
    statistics = RasterStatistics.empty(facts.count)
    empty = {(row, col) for row, col, _ in cut.blocks if cut.is_empty(row, col)}
    if all((row, col) in empty for row, col, _ in cut.blocks):
        return statistics
    needed = _needed(cut, empty)
    check_disk(cut.folder, _disk_bytes(cut, file.source.size, needed))
    file.fetch_ahead(needed)
    with ExitStack() as stack:
        if needs_copy(facts, cut.reach, cut.cache_bytes):
            dataset = stack.enter_context(_copied(cut, dataset))
        warped = stack.enter_context(open_warped(dataset, plan, warp)) if warp else None
        writer = stack.enter_context(grid_writer(target, facts, cut.grid, cut.side))
        for row, col, window in cut.blocks:
            cut.check()
            if (row, col) in empty:
                block, mask = _empty_block(cut, window)
            else:
                with _naming_the_tile(cut):
                    if warped:
                        block, mask = read_block(warped, plan, window)
                    else:
                        block = dataset.read(window=window)
                        # An alpha band is among the pixels, and needs no mask beside it.
                        mask = None if facts.alpha_band else read_mask(dataset, facts, window)
            block, mask, place = _own_part(cut.window, window, block, mask)
            statistics.add(block, block_validity(plan, block, mask))
            writer.write(block, mask, place)
    return statistics


def needs_copy(facts: RasterFacts, reach: Reach, cache_bytes: int) -> bool:
    """Whether strips are copied into tiles first, since those under a row of blocks do not fit in GDAL's cache.

    A strip is decoded as a whole, and would be decoded again for every block.
    """
    # Where the reach is not sure, a copy could lack pixels.
    if facts.tiled or not reach.sure:
        return False
    return reach.row_span * facts.width * facts.pixel_bytes > cache_bytes * 0.8


def _needed(cut: Cut, empty: set[tuple[int, int]]) -> list[Range]:
    """Return the bytes under the blocks that are read, in the order in which rows of blocks need them."""
    rows, cols = cut.reach.boxes.shape[:2]
    # Sorted within a row of blocks, so that neighbors in the file are fetched by one request.
    found: list[Range] = []
    for row in range(rows):
        boxes = (cut.reach.boxes[row, col] for col in range(cols) if (row, col) not in empty)
        found += sorted({part for box in boxes for part in cut.ranges.bytes_of(box)})
    return list(dict.fromkeys(found))


@contextmanager
def _copied(cut: Cut, dataset: DatasetReader) -> Iterator[DatasetReader]:
    """Copy the strips under a tile into a file in tiles, and open it.

    The file is sparse and has the size of the source, so that every position in it stays the same.
    """
    facts, path = cut.plan.facts, cut.folder / "copied.tif"
    first_row, last_row, first_col, last_col = cut.reach.whole
    rows = chunk_shape(facts, cut.chunk_bytes)[0]
    with copy_writer(path, facts) as writer:
        for top in range(first_row // rows * rows, last_row, rows):
            cut.check()
            window = Window(first_col, top, last_col - first_col, min(rows, facts.height - top))
            with _naming_the_tile(cut):
                block, mask = dataset.read(window=window), read_mask(dataset, facts, window)
            writer.write(block, mask, window)
    try:
        with reading(cut.label), open_tiff(path) as copied:
            yield copied
    finally:
        path.unlink()


def _own_part(
    tile: Window, window: Window, block: Pixels, mask: Validity | None
) -> tuple[Pixels, Validity | None, Window]:
    """Return the tile's part of a block and of its mask, and the window of the tile where it belongs.

    `tile` and `window` are windows of the output grid, that of the block being `window`.
    """
    top, left = max(0, tile.row_off - window.row_off), max(0, tile.col_off - window.col_off)
    bottom = min(window.height, tile.row_off + tile.height - window.row_off)
    right = min(window.width, tile.col_off + tile.width - window.col_off)
    place = Window(
        window.col_off + left - tile.col_off, window.row_off + top - tile.row_off, right - left, bottom - top
    )
    part = None if mask is None else mask[top:bottom, left:right]
    return block[:, top:bottom, left:right], part, place


def _empty_block(cut: Cut, window: Window) -> tuple[Pixels, Validity | None]:
    """Return what reading a block without valid pixels would: nodata, or zeros that mask or alpha mark as not valid."""
    facts, nodata = cut.plan.facts, cut.plan.nodata.nodata
    shape = int(window.height), int(window.width)
    block = np.full((facts.count, *shape), 0 if nodata is None else nodata, facts.dtype)
    return block, np.zeros(shape, np.bool_) if adds_alpha(cut.plan) else None


def _disk_bytes(cut: Cut, source_bytes: int, needed: list[Range]) -> int:
    """Return an estimate of the disk for a tile: part of the source, copy, pixels and COG, as plan.disk_bytes does."""
    facts = cut.plan.facts
    ratio = min(1.0, 1.5 * source_bytes / max(1, facts.raw_bytes))
    raw = 2.7 * cut.grid.width * cut.grid.height * facts.pixel_bytes
    if needs_copy(facts, cut.reach, cut.cache_bytes):
        first_row, last_row, first_col, last_col = cut.reach.whole
        raw += (last_row - first_row) * (last_col - first_col) * facts.pixel_bytes
    return sum(end - begin for begin, end in needed) + math.ceil(raw * ratio)


@contextmanager
def _naming_the_tile(cut: Cut) -> Iterator[None]:
    """Turn errors of reading into raster_damaged, which names the tile."""
    try:
        yield
    except GDAL_ERRORS as exc:
        raise tile_damaged(label=cut.label, tile_id=cut.tile_id, reason=first_line(exc)) from exc
