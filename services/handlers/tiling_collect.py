"""The handler that collects the tiles of a raster: STAC records, a VRT and a MosaicJSON. Loaded when it is needed."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pyproj import CRS

from repositories import tiles
from repositories.catalog import catalog
from repositories.postgres import Connection
from repositories.storage.marks import mark_of
from repositories.tiles import Tile, TilingPlan
from schema.jobs import Json
from services.context import TaskContext
from services.handlers.tiling import held_plan, raster_plan
from services.raster import errors
from services.raster.names import mosaic_blobs, tile_blob, version_folder
from services.raster.output import outputs
from services.raster.output.cog import plan_tile_cog
from services.raster.output.outputs import TILE_ID
from services.raster.output.steps import Steps
from services.raster.output.vrt import OutputHeader, Placed, vrt_parts
from services.raster.planning.plan import RasterPlan
from services.raster.source.gdal import gdal_environment
from services.raster.source.remote import open_remote
from services.raster.tiling.cut import output_grid
from services.stac.collections.extent import EXTENTS
from services.stac.ids import MAX_SLUG, collection_id, item_id, tile_item_id
from services.stac.mosaic import MosaicTile, make_mosaic
from services.stac.publish import href_of, write_items

VRT_TYPE, JSON_TYPE = "application/xml", "application/json"
METRES_OF_A_DEGREE = 111_320.0
LONGEST_TILE_ID = len("r9999c9999")
DELETIONS_AT_ONCE = 8


def collect(ctx: TaskContext) -> Json:
    """Publish the mosaics, catalogue the tiles, and mark the plan as done: the last two commit with the task."""
    steps = Steps()
    tiling = held_plan(ctx)
    with ctx.database.connection() as conn:
        listed = tiles.list_tiles(conn, tiling.plan_id)
    made = [tile for tile in listed if tile.skipped is False]
    source = ctx.source
    folder = version_folder(source.container, source.blob, ctx.parameters.get("version_id"))
    vrt, mosaic = mosaic_blobs(folder)
    with steps.step("header"), gdal_environment(), open_remote(ctx.blobs, source) as dataset:
        header = _header(raster_plan(ctx, tiling, dataset))
    with steps.step("vrt"):
        _publish_vrt(ctx, tiling, header, made, vrt)
    ctx.check()
    with steps.step("mosaic_json"):
        document = ctx.work_folder / "mosaic.json"
        document.write_text(_mosaic(ctx, tiling, header, made, folder), encoding="utf-8")
        outputs.publish(ctx, mosaic, document, JSON_TYPE)
    _remove_stale_blobs(ctx, made, folder)
    with steps.step("catalog_stac"):
        stale = _stale_items(ctx, made, folder)
        # From here on the catalogue is locked until the commit, so all that storage has to do is done.
        _catalogue(ctx, tiling)
        for collection, ids in stale.items():
            catalog.delete_items(ctx.transaction, collection, ids, EXTENTS)
    tiles.finish_plan(ctx.transaction, tiling.plan_id)
    return _outcome(ctx, tiling, listed, folder, steps)


def _header(plan: RasterPlan) -> OutputHeader:
    return plan_tile_cog(plan, output_grid(plan)).header


def _publish_vrt(ctx: TaskContext, tiling: TilingPlan, header: OutputHeader, made: Sequence[Tile], blob: str) -> None:
    """Write the VRT beside the folder of the tiles; their names in it are relative, so that it works from anywhere."""
    path, side = ctx.work_folder / "mosaic.vrt", tiling.block_side
    placed = [Placed(_name_of(tile), tile.col_off, tile.row_off, tile.width, tile.height, side) for tile in made]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(vrt_parts(header, placed))
    outputs.publish(ctx, blob, path, VRT_TYPE)


def _name_of(tile: Tile) -> str:
    return f"tiles/{tile.tile_id}.tif"


def _catalogue(ctx: TaskContext, tiling: TilingPlan) -> None:
    """Write the items, a batch after another."""
    _hold(ctx.transaction, ctx, tiling)
    for items in tiles.list_items(ctx.transaction, tiling.plan_id):
        ctx.check()
        write_items(ctx, items)


def _boxes(ctx: TaskContext, tiling: TilingPlan) -> dict[str, list[float]]:
    """Give the box of each item, by id."""
    with ctx.database.transaction() as conn:
        _hold(conn, ctx, tiling)
        return tiles.boxes_of_items(conn, tiling.plan_id)


def _hold(conn: Connection, ctx: TaskContext, tiling: TilingPlan) -> None:
    if not tiles.holds_plan(conn, tiling.plan_id, ctx.job_id):
        raise errors.plan_lost(plan_id=tiling.plan_id)


def _stale_items(ctx: TaskContext, made: Sequence[Tile], folder: str) -> dict[str, list[str]]:
    """Find the items of tiles that this version had before and has no more, or has in another collection now.

    The folder is this job's alone, so nobody adds to them; they are found before the catalogue is locked.
    """
    source, version = ctx.source, ctx.parameters.get("version_id")
    collection = collection_id(source.container, ctx.parameters.get("collection_id"))
    kept = {(collection, tile.stac_id) for tile in made}
    start = item_id(source.blob, version)[: MAX_SLUG - LONGEST_TILE_ID - 1]
    with ctx.database.connection() as conn:
        found = catalog.find_outputs(conn, source.label, start)
    stale: dict[str, list[str]] = {}
    for output in found:
        tile_id = output.item_id.rpartition("-")[2]
        # Long ids may be cut off before the version: the link tells versions apart.
        link = href_of("", ctx.settings.output_container, tile_blob(folder, tile_id))
        ours = TILE_ID.fullmatch(tile_id) and output.item_id == tile_item_id(source.blob, version, tile_id)
        if ours and output.href.endswith(link) and (output.collection_id, output.item_id) not in kept:
            stale.setdefault(output.collection_id, []).append(output.item_id)
    return stale


def _remove_stale_blobs(ctx: TaskContext, made: Sequence[Tile], folder: str) -> None:
    """Have the blobs of those tiles removed once the catalogue names them no more.

    The folder may be another job's by then, so only what is still as it is now is removed. What is left by a process
    that dies there is found when the version is tiled again.
    """
    output = ctx.settings.output_container
    kept = {tile_blob(folder, tile.tile_id) for tile in made}
    own = mark_of(ctx.source_label)
    stale = [facts for facts in outputs.tiles_in(ctx, folder) if facts.name not in kept and facts.mark in (None, own)]

    def remove() -> None:
        with ThreadPoolExecutor(DELETIONS_AT_ONCE) as threads:
            list(threads.map(lambda facts: ctx.blobs.delete(output, facts.name, etag=facts.etag), stale))

    ctx.after_commit(remove)


def _mosaic(ctx: TaskContext, tiling: TilingPlan, header: OutputHeader, made: Sequence[Tile], folder: str) -> str:
    boxes = _boxes(ctx, tiling)
    listed = [MosaicTile(_name_of(tile), boxes[tile.stac_id or ""]) for tile in made]
    base = ctx.settings.asset_base_url
    # GDAL's own name for a blob of the account that its reader has the key of.
    prefix = (
        href_of(base, ctx.settings.output_container, folder)
        if base
        else (f"/vsiaz/{ctx.settings.output_container}/{folder}")
    )
    size = abs(tiling.transform[0]) or abs(tiling.transform[1])
    degrees = size if CRS.from_wkt(tiling.crs_wkt).is_geographic else size / METRES_OF_A_DEGREE
    name = item_id(tiling.blob, ctx.parameters.get("version_id"))
    side = max(tiling.tile_width, tiling.tile_height)
    return make_mosaic(name, f"{prefix}/", listed, degrees, side, header.dtype)


def _outcome(ctx: TaskContext, tiling: TilingPlan, listed: Sequence[Tile], folder: str, steps: Steps) -> Json:
    made = [tile for tile in listed if not tile.skipped]
    output, (vrt, mosaic) = ctx.settings.output_container, mosaic_blobs(folder)
    return {
        "status": "completed",
        "plan_id": tiling.plan_id,
        "source": ctx.source_label,
        "tiles_created": len(made),
        "tiles_skipped": len(listed) - len(made),
        "tiles": [_shown(tiling, tile) for tile in made],
        "collection_id": collection_id(tiling.container, ctx.parameters.get("collection_id")) if made else None,
        "vrt_path": f"{output}/{vrt}",
        "mosaic_path": f"{output}/{mosaic}",
        "processing_stats": {**ctx.parameters["processing_stats"], "collect": steps.as_json()},
    }


def _shown(tiling: TilingPlan, tile: Tile) -> Json:
    return {
        "tile_id": tile.tile_id,
        "row": tile.row,
        "col": tile.col,
        "bounds": list(tile.bounds),
        "cog_path": tile.cog_path,
        "stac_id": tile.stac_id,
        "tile_size_gb": round(tile.width * tile.height * tiling.pixel_bytes / 1e9, 9),
        "processing_time_seconds": tile.seconds,
    }
