"""Handlers of tiling: one plans the tiles of a raster, one makes a tile. tiling_collect has the third."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

from pyproj import CRS
from rasterio.io import DatasetReader
from rasterio.windows import Window

from repositories import tiles
from repositories.postgres import Connection
from repositories.tiles import MadeTile, Tile, TilingPlan
from schema.jobs import Json
from services.context import TaskContext
from services.crs import authority_of, crs_label
from services.handlers.items import check_items, output_item
from services.handlers.raster import naming_world_files, outputs_of
from services.raster import errors
from services.raster.names import DEFAULT_VERSION, tile_blob, version_folder
from services.raster.options import Options
from services.raster.output.cog import MEDIA_TYPE, check_cog, plan_tile_cog, write_cog
from services.raster.output.steps import Steps
from services.raster.planning.georeference import Grid
from services.raster.planning.plan import RasterPlan, check_blocks, needs_tiles, plan_process
from services.raster.source.blocks import CHUNK_BYTES, block_side
from services.raster.source.facts import bounds_of, facts_of
from services.raster.source.gdal import CACHE_BYTES, gdal_environment
from services.raster.source.remote import open_remote
from services.raster.source.statistics import RasterStatistics
from services.raster.tiling.cut import Cut, cut_tile, output_grid, plan_cut
from services.raster.tiling.spool import PIECE_BYTES, spooled
from services.raster.tiling.tasks import PlanResult, PlanTask, TileResult, TileTask
from services.raster.tiling.tile_sizes import OutputSize, tile_shape
from services.stac.ids import collection_id, tile_item_id
from services.stac.items.item import record_of


@dataclass(frozen=True)
class CutPixels:
    """The pixels of one tile, in pixels.tif of the work folder unless none is valid."""

    plan: RasterPlan
    cut: Cut
    statistics: RasterStatistics
    transferred: int
    """Bytes that were read of the source."""


def plan_tiles(ctx: TaskContext) -> Json:
    """Plan the tiles of the source from its header alone, or take over the plan that the job names."""
    task, steps = PlanTask.from_json(ctx.parameters), Steps()
    with steps.step("plan"):
        tiling, found = (_take_over(ctx, task, task.plan_id), {}) if task.plan_id else _make_plan(ctx, task)
    listed = tiles.list_tiles(ctx.transaction, tiling.plan_id) if task.list_tiles else None
    result = PlanResult(
        plan_id=tiling.plan_id,
        source=ctx.source_label,
        tile_count=tiling.rows * tiling.cols,
        rows=tiling.rows,
        cols=tiling.cols,
        tile_width=tiling.tile_width,
        tile_height=tiling.tile_height,
        size_gb=round(tiling.raw_bytes / 1e9, 6),
        crs=crs_label(CRS.from_wkt(tiling.crs_wkt)),
        transform=tiling.transform,
        width=tiling.width,
        height=tiling.height,
        tiles=None if listed is None else [tile_json(tile) for tile in listed],
        processing_stats=steps.as_json(),
        **found,
    )
    return result.as_json()


def make_tile(
    ctx: TaskContext, *, piece_bytes: int = PIECE_BYTES, cache_bytes: int = CACHE_BYTES, chunk_bytes: int = CHUNK_BYTES
) -> Json:
    """Make one tile of a plan: its pixels, its COG and its STAC item.

    The item waits in geo.tiles until the tiles are collected: the items of 10,000 tiles do not fit into task results,
    and the transaction of each tile would otherwise take the catalog's lock.
    """
    steps = Steps()
    task = TileTask.from_json(ctx.parameters)
    tiling = held_plan(ctx, task.plan_id)
    with ctx.database.connection() as conn:
        tile = tiles.get_tile(conn, task.plan_id, task.row, task.col)
    if tile is None:
        raise errors.plan_not_found(plan_id=tiling.plan_id)
    with gdal_environment():
        with steps.step("read"):
            pixels = _cut(ctx, tiling, tile, piece_bytes, cache_bytes, chunk_bytes)
        made = MadeTile(0.0)
        if pixels.statistics.covered:
            made = _publish(ctx, steps, pixels, tile, task)
    stats = steps.as_json()
    # The time of all steps is known only now.
    made = replace(made, seconds=stats["total"])
    # Another job may have taken the plan over while the tile was made; the lock keeps it until the commit.
    check_held(ctx.transaction, tiling, ctx.job_id)
    tiles.record_tile(ctx.transaction, tiling.plan_id, tile, made)
    result = TileResult(
        tile_id=tile.tile_id,
        row=tile.row,
        col=tile.col,
        skipped=made.cog_path is None,
        cog_path=made.cog_path,
        stac_id=made.stac_id,
        valid_pixels=pixels.statistics.covered,
        bytes_read=pixels.transferred,
        processing_stats=stats,
    )
    return result.as_json()


def held_plan(ctx: TaskContext, plan_id: str) -> TilingPlan:
    """Return the plan that the task's job works on. Raises PermanentError when it is gone or another job's."""
    with ctx.database.connection() as conn:
        tiling = tiles.get_plan(conn, plan_id)
        if tiling is None:
            raise errors.plan_not_found(plan_id=plan_id)
        check_held(conn, tiling, ctx.job_id)
    return tiling


def check_held(conn: Connection, tiling: TilingPlan, job_id: str) -> None:
    """Check that a job still has a plan and its output folder, and lock both until the transaction ends.

    Raises
    ------
    PermanentError
        plan_taken: another job has taken one of them over.
    """
    if not tiles.holds_plan(conn, tiling.plan_id, job_id):
        raise errors.plan_lost(plan_id=tiling.plan_id)


def raster_plan(ctx: TaskContext, tiling: TilingPlan, dataset: DatasetReader) -> RasterPlan:
    """Return the plan of the whole raster, on the stored grid: every tile must be cut from the same one."""
    plan = plan_process(ctx.source_label, dataset, facts_of(dataset), Options.from_json(tiling.options))
    if plan.warp is None:
        return plan
    a, b, c, d, e, f = tiling.transform
    grid = Grid(tiling.crs_wkt, (a, b, c, d, e, f), tiling.width, tiling.height)
    return replace(plan, warp=replace(plan.warp, grid=grid, side=tiling.block_side))


def tile_json(tile: Tile) -> Json:
    """Return a tile of a plan as generate_tiling_plan lists it."""
    window = {"col_off": tile.col_off, "row_off": tile.row_off, "width": tile.width, "height": tile.height}
    return {
        "tile_id": tile.tile_id,
        "row": tile.row,
        "col": tile.col,
        "bounds": list(tile.bounds),
        "window": window,
        "status": tile.status,
    }


def _take_over(ctx: TaskContext, task: PlanTask, plan_id: str) -> TilingPlan:
    source = ctx.source
    tiling = tiles.get_plan(ctx.transaction, plan_id)
    if tiling is None:
        raise errors.plan_not_found(plan_id=plan_id)
    if (tiling.container, tiling.blob, tiling.etag) != (source.container, source.blob, source.etag):
        planned = f"{tiling.container}/{tiling.blob}"
        planned = "the file that it replaced" if planned == source.label else planned
        raise errors.plan_of_another_source(plan_id=plan_id, label=source.label, planned=planned)
    # The folder before the plan: see tiles.take_output.
    _check_large(ctx, task, Options.from_json(tiling.options), tiling.raw_bytes / 1e9)
    _take_output(ctx, task, tiling)
    holder = tiles.take_plan(ctx.transaction, plan_id, ctx.job_id)
    if holder is None:
        # It was deleted since it was read above.
        raise errors.plan_not_found(plan_id=plan_id)
    if holder != ctx.job_id:
        raise errors.plan_taken(plan_id=plan_id, job_id=holder)
    return tiling


def _make_plan(ctx: TaskContext, task: PlanTask) -> tuple[TilingPlan, Json]:
    source, label = ctx.source, ctx.source_label
    # A smaller data type would depend on the pixels of each tile, and the tiles would not fit together.
    options = replace(task.options, optimize="none")
    with naming_world_files(ctx), gdal_environment(), open_remote(ctx.blobs, source) as dataset:
        facts = facts_of(dataset)
        check_blocks(label, facts)
        plan = plan_process(label, dataset, facts, options)
    grid, side = output_grid(plan), block_side(facts.pixel_bytes)
    size = OutputSize(grid.width, grid.height, facts.pixel_bytes, side)
    # process_raster refuses by the size of the source, so the larger of source and output counts: otherwise a raster
    # that shrinks in reprojection would be refused by both.
    _check_large(ctx, task, options, max(size.gigabytes, facts.raw_bytes / 1e9))
    target = task.target_tile_size_gb or ctx.settings.target_tile_size_gb
    shape = tile_shape(label, size, target, wide=needs_tiles(plan))
    tiling = TilingPlan(
        # The job's id, so that a second attempt of the task replaces its own rows.
        plan_id=ctx.job_id,
        container=source.container,
        blob=source.blob,
        etag=source.etag,
        options=options.as_json(),
        crs_wkt=grid.crs_wkt,
        transform=list(grid.transform),
        width=grid.width,
        height=grid.height,
        pixel_bytes=facts.pixel_bytes,
        block_side=side,
        tile_width=shape.width,
        tile_height=shape.height,
    )
    tiles.insert_plan(ctx.transaction, tiling, authority_of(CRS.from_wkt(grid.crs_wkt)))
    _take_output(ctx, task, tiling)
    bounds = bounds_of(grid.affine, grid.width, grid.height)
    return tiling, {"bounds": list(bounds), "bands": facts.count, "dtype": facts.dtype, "warnings": list(plan.warnings)}


def _take_output(ctx: TaskContext, task: PlanTask, tiling: TilingPlan) -> None:
    # Only generate_tiling_plan lists the tiles, and it makes none.
    if task.list_tiles:
        return
    source, version = ctx.source, task.version_id
    folder = version_folder(source.container, source.blob, version)
    holder = tiles.take_output(ctx.transaction, tiling.plan_id, ctx.job_id, folder)
    if holder != ctx.job_id:
        raise errors.output_taken(label=source.label, version=version or DEFAULT_VERSION, job_id=holder)
    # From here on no other job begins to write there.
    outputs_of(ctx).check_folder(folder)
    places = itertools.product(range(tiling.rows), range(tiling.cols))
    # All ids of a plan at once, before the first tile is made: a taken one would fail the job hours later.
    names = [f"r{row}c{col}" for row, col in places]
    items = {tile_item_id(source.blob, version, name): tile_blob(folder, name) for name in names}
    check_items(ctx, collection_id(source.container, task.collection_id), items)


def _check_large(ctx: TaskContext, task: PlanTask, options: Options, size_gb: float) -> None:
    limit = options.max_raster_size_gb or ctx.settings.max_raster_size_gb
    if task.only_large and size_gb <= limit:
        raise errors.raster_too_small(label=ctx.source_label, gigabytes=size_gb, limit=limit)


def _cut(
    ctx: TaskContext, tiling: TilingPlan, tile: Tile, piece_bytes: int, cache_bytes: int, chunk_bytes: int
) -> CutPixels:
    source, folder = ctx.source, ctx.work_folder
    window = Window(tile.col_off, tile.row_off, tile.width, tile.height)
    spool = spooled(ctx.blobs, source, folder / "spool", piece_bytes)
    with spool as file, open_remote(ctx.blobs, source, file) as dataset:
        plan = raster_plan(ctx, tiling, dataset)
        limits = {"cache_bytes": cache_bytes, "chunk_bytes": chunk_bytes}
        place = window, tiling.block_side
        cut = plan_cut(source.label, tile.tile_id, plan, dataset, *place, folder, ctx.check, **limits)
        statistics = cut_tile(cut, dataset, file, folder / "pixels.tif")
    return CutPixels(plan, cut, statistics, file.transferred)


def _publish(ctx: TaskContext, steps: Steps, pixels: CutPixels, tile: Tile, task: TileTask) -> MadeTile:
    source, outputs = ctx.source, outputs_of(ctx)
    blob = tile_blob(version_folder(source.container, source.blob, task.version_id), tile.tile_id)
    target, cog = ctx.work_folder / "cog.tif", plan_tile_cog(pixels.plan, pixels.cut.grid)
    with steps.step("create_cog"):
        write_cog(cog, ctx.work_folder / "pixels.tif", target)
    ctx.check()
    with steps.step("validate_cog"):
        check_cog(target)
    with steps.step("publish"):
        outputs.publish(blob, target, MEDIA_TYPE)
    with steps.step("describe"):
        name = tile_item_id(source.blob, task.version_id, tile.tile_id)
        item = output_item(ctx, target, blob, pixels.statistics, name, task.collection_id)
    return MadeTile(seconds=0.0, cog_path=outputs.path_of(blob), stac_id=item.id, item=record_of(item))
