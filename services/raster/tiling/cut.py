"""Cutting: the pixels of one tile of an output grid, made of as little of a remote source as they need."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from services.crs import parse_crs, transformer_between
from services.raster.errors import GDAL_ERRORS, check_disk, first_line, reading, tile_damaged
from services.raster.output.tiled_file import copy_writer, grid_writer
from services.raster.output.warp import adds_alpha, block_validity, open_warped, read_block
from services.raster.planning.georeference import Grid
from services.raster.planning.plan import RasterPlan
from services.raster.source.blocks import chunk_shape, windows
from services.raster.source.facts import RasterFacts
from services.raster.source.gdal import CACHE_BYTES, open_tiff
from services.raster.source.scan import read_mask
from services.raster.source.statistics import Pixels, RasterStatistics, Validity
from services.raster.tiling.reach import Reach, reach_of
from services.raster.tiling.spool import SpooledFile
from services.raster.tiling.striles import Range, Striles, missing_is_nodata, read_striles

Reader = Callable[[Window], tuple[Pixels, Validity | None]]
"""Gives the bands of a window of the output grid, and its mask where one says what is valid."""


@dataclass(frozen=True)
class Cut:
    """One tile: the raster that it is of, its window of the output grid, and what it needs of the source."""

    label: str
    tile_id: str
    plan: RasterPlan
    window: Window
    side: int
    reach: Reach
    striles: Striles
    folder: Path
    check: Callable[[], None]
    """May raise at every block."""

    @property
    def grid(self) -> Grid:
        """The tile's pixels."""
        return output_grid(self.plan).part(self.window)

    @property
    def blocks(self) -> Iterator[tuple[int, int, Window]]:
        """Row and column of each block that the tile has pixels of, and the block's window of the output grid."""
        around = aligned(self.window, self.side, output_grid(self.plan))
        for window in windows(int(around.width), int(around.height), self.side):
            row, col = int(window.row_off) // self.side, int(window.col_off) // self.side
            place = around.col_off + window.col_off, around.row_off + window.row_off
            yield row, col, Window(*place, window.width, window.height)

    def is_empty(self, row: int, col: int) -> bool:
        """Tell whether a block holds no pixel that counts, without reading it."""
        box = self.reach.boxes[row, col]
        if not self.reach.sure:
            return False
        outside = self.plan.warp is not None and box[1] <= box[0]
        return outside or (missing_is_nodata(self.plan) and self.striles.is_missing(box))


def plan_cut(
    label: str,
    tile_id: str,
    plan: RasterPlan,
    dataset: DatasetReader,
    window: Window,
    side: int,
    folder: Path,
    check: Callable[[], None],
) -> Cut:
    """Find out what a tile needs; reads no more than the header."""
    facts, warp = plan.facts, plan.warp
    grid = warp.grid if warp else None
    way = None
    if warp and facts.georeference != "gcps":
        way = transformer_between(label, parse_crs(warp.source_crs_wkt), plan.warp_crs)
    reach = reach_of(facts, grid, way, aligned(window, side, output_grid(plan)), side)
    return Cut(label, tile_id, plan, window, side, reach, read_striles(dataset, facts, reach.whole), folder, check)


def aligned(window: Window, side: int, grid: Grid) -> Window:
    """Give the window of all blocks of a grid that a window has pixels of."""
    left, top = int(window.col_off) // side * side, int(window.row_off) // side * side
    right = min(grid.width, math.ceil((window.col_off + window.width) / side) * side)
    bottom = min(grid.height, math.ceil((window.row_off + window.height) / side) * side)
    return Window(left, top, right - left, bottom - top)


def output_grid(plan: RasterPlan) -> Grid:
    """Give the grid of the whole output."""
    if plan.warp:
        return plan.warp.grid
    return Grid(plan.native_crs_wkt or "", plan.facts.transform, plan.facts.width, plan.facts.height)


def cut_tile(cut: Cut, dataset: DatasetReader, file: SpooledFile, target: Path) -> RasterStatistics:
    """Write the pixels of a tile into a file; gives their statistics. Nothing is written of a tile without any.

    Raises
    ------
    PermanentError
        Pixels that it needs cannot be read.
    DiskFull
        The disk has too little room for what it needs.
    """
    statistics = RasterStatistics.empty(cut.plan.facts.count)
    empty = {(row, col) for row, col, _ in cut.blocks if cut.is_empty(row, col)}
    if all((row, col) in empty for row, col, _ in cut.blocks):
        return statistics
    needed = _needed(cut, empty)
    check_disk(cut.folder, _disk_bytes(cut, file.source.size, needed))
    file.fetch_ahead(needed)
    with (
        _pixels_of(cut, dataset) as read,
        grid_writer(target, cut.plan.facts, cut.grid, cut.side) as writer,
    ):
        for row, col, window in cut.blocks:
            cut.check()
            block, mask = _nothing(cut, window) if (row, col) in empty else _read(cut, read, window)
            block, mask, place = _own_part(cut.window, window, block, mask)
            statistics.add(block, block_validity(cut.plan, block, mask))
            writer.write(block, mask, place)
    return statistics


def needs_copy(facts: RasterFacts, reach: Reach) -> bool:
    """Tell whether strips must first be cut into tiles: those under a row of blocks do not fit in the cache.

    What is copied is what the blocks are sure to touch; where that is not known, GDAL reads the strips as it needs
    them, again and again.
    """
    if facts.tiled or not reach.sure:
        return False
    return reach.row_span * facts.width * facts.pixel_bytes > CACHE_BYTES * 0.8


def _needed(cut: Cut, empty: set[tuple[int, int]]) -> list[Range]:
    """List the bytes under the blocks that are read, in the order in which rows of blocks need them."""
    rows, cols = cut.reach.boxes.shape[:2]
    found: list[Range] = []
    for row in range(rows):
        boxes = (cut.reach.boxes[row, col] for col in range(cols) if (row, col) not in empty)
        found += sorted({part for box in boxes for part in cut.striles.bytes_of(box)})
    return list(dict.fromkeys(found))


@contextmanager
def _pixels_of(cut: Cut, dataset: DatasetReader) -> Iterator[Reader]:
    with ExitStack() as stack:
        if needs_copy(cut.plan.facts, cut.reach):
            dataset = stack.enter_context(_copied(cut, dataset))
        if cut.plan.warp:
            warped = stack.enter_context(open_warped(dataset, cut.plan, cut.plan.warp))
            yield lambda window: read_block(warped, cut.plan, window)
        else:
            yield lambda window: (dataset.read(window=window), _own_mask(dataset, cut.plan.facts, window))


def _own_mask(dataset: DatasetReader, facts: RasterFacts, window: Window) -> Validity | None:
    return None if facts.alpha_band else read_mask(dataset, facts, window)


@contextmanager
def _copied(cut: Cut, dataset: DatasetReader) -> Iterator[DatasetReader]:
    """Copy what a tile needs into a file in tiles, of the source's size and mostly empty: places stay what they are."""
    facts, path = cut.plan.facts, cut.folder / "copied.tif"
    first_row, last_row, first_col, last_col = cut.reach.whole
    rows = chunk_shape(facts)[0]
    with copy_writer(path, facts) as writer:
        for top in range(first_row // rows * rows, last_row, rows):
            cut.check()
            window = Window(first_col, top, last_col - first_col, min(rows, facts.height - top))
            block, mask = _read(cut, lambda part: (dataset.read(window=part), read_mask(dataset, facts, part)), window)
            writer.write(block, mask, window)
    try:
        with reading(cut.label), open_tiff(path) as copied:
            yield copied
    finally:
        path.unlink()


def _own_part(
    tile: Window, window: Window, block: Pixels, mask: Validity | None
) -> tuple[Pixels, Validity | None, Window]:
    """Give what a tile has of a block, and where in the tile that is."""
    top, left = max(0, tile.row_off - window.row_off), max(0, tile.col_off - window.col_off)
    bottom = min(window.height, tile.row_off + tile.height - window.row_off)
    right = min(window.width, tile.col_off + tile.width - window.col_off)
    place = Window(
        window.col_off + left - tile.col_off, window.row_off + top - tile.row_off, right - left, bottom - top
    )
    part = None if mask is None else mask[top:bottom, left:right]
    return block[:, top:bottom, left:right], part, place


def _nothing(cut: Cut, window: Window) -> tuple[Pixels, Validity | None]:
    """Give what a block without pixels is when it is read: nodata, or zeros that a mask or alpha leaves out."""
    facts, nodata = cut.plan.facts, cut.plan.nodata.nodata
    shape = int(window.height), int(window.width)
    block = np.full((facts.count, *shape), 0 if nodata is None else nodata, facts.dtype)
    return block, np.zeros(shape, np.bool_) if adds_alpha(cut.plan) else None


def _disk_bytes(cut: Cut, source_bytes: int, needed: list[Range]) -> int:
    """Estimate the disk for a tile: its part of the source, a copy, the pixels and the COG; see plan.disk_bytes."""
    facts = cut.plan.facts
    ratio = min(1.0, 1.5 * source_bytes / max(1, facts.raw_bytes))
    raw = 2.7 * cut.grid.width * cut.grid.height * facts.pixel_bytes
    if needs_copy(facts, cut.reach):
        first_row, last_row, first_col, last_col = cut.reach.whole
        raw += (last_row - first_row) * (last_col - first_col) * facts.pixel_bytes
    return sum(end - begin for begin, end in needed) + math.ceil(raw * ratio)


def _read(cut: Cut, read: Reader, window: Window) -> tuple[Pixels, Validity | None]:
    try:
        return read(window)
    except GDAL_ERRORS as exc:
        raise tile_damaged(label=cut.label, tile_id=cut.tile_id, reason=first_line(exc)) from exc
