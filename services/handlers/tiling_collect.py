"""The handler that collects the tiles of a raster: it writes VRT and MosaicJSON, and catalogs the tiles.

A module of its own, since cogeo-mosaic, which it needs, takes 0.6 s and 20 MB to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pyproj import CRS

from repositories import tiles
from repositories.catalog import catalog
from repositories.tiles import Tile, TilingPlan
from schema.jobs import Json
from services.context import TaskContext
from services.handlers.items import write_items
from services.handlers.raster import outputs_of
from services.handlers.tiling import check_held, held_plan, raster_plan
from services.raster.names import mosaic_blobs, tile_blob, version_folder
from services.raster.output.cog import plan_tile_cog
from services.raster.output.outputs import TILE_ID
from services.raster.output.steps import Steps
from services.raster.output.vrt import OutputHeader, Placed, vrt_parts
from services.raster.source.gdal import gdal_environment
from services.raster.source.remote import open_remote
from services.raster.tiling.cut import output_grid
from services.raster.tiling.tasks import CollectTask
from services.stac.collections.extent import EXTENTS
from services.stac.ids import MAX_SLUG, collection_id, item_id, tile_item_id
from services.stac.items.item import href_of
from services.stac.mosaic import MosaicTile, make_mosaic

VRT_TYPE, JSON_TYPE = "application/xml", "application/json"
METRES_OF_A_DEGREE = 111_320.0
"""Along the equator."""
LONGEST_TILE_ID = len("r9999c9999")
DELETIONS_AT_ONCE = 8


def collect(ctx: TaskContext) -> Json:
    """Publish the mosaics, catalog the tiles, and mark the plan as done: the last two commit with the task."""
    task, steps = CollectTask.from_json(ctx.parameters), Steps()
    tiling = held_plan(ctx, task.plan_id)
    with ctx.database.connection() as conn:
        listed = tiles.list_tiles(conn, tiling.plan_id)
    made = [tile for tile in listed if tile.skipped is False]
    folder = version_folder(ctx.source.container, ctx.source.blob, task.version_id)
    with steps.step("header"), gdal_environment(), open_remote(ctx.blobs, ctx.source) as dataset:
        plan = raster_plan(ctx, tiling, dataset)
        header = plan_tile_cog(plan, output_grid(plan)).header
    with steps.step("vrt"):
        _publish_vrt(ctx, tiling, header, made, folder)
    ctx.check()
    with steps.step("mosaic_json"):
        _publish_mosaic(ctx, task, tiling, header, made, folder)
    _remove_stale_blobs(ctx, made, folder)
    with steps.step("catalog_stac"):
        stale = _stale_items(ctx, task, made, folder)
        # From here on the catalog is locked until the commit, so all requests to storage came before.
        check_held(ctx.transaction, tiling, ctx.job_id)
        for items in tiles.list_items(ctx.transaction, tiling.plan_id):
            ctx.check()
            write_items(ctx, items)
        for collection, ids in stale.items():
            catalog.delete_items(ctx.transaction, collection, ids, EXTENTS)
    tiles.finish_plan(ctx.transaction, tiling.plan_id)
    return _outcome(ctx, task, tiling, listed, folder, steps)


def _publish_vrt(ctx: TaskContext, tiling: TilingPlan, header: OutputHeader, made: Sequence[Tile], folder: str) -> None:
    path, side = ctx.work_folder / "mosaic.vrt", tiling.block_side
    # Names relative to the VRT, so that it works from /vsiaz/, over https and in a copy of the folder.
    placed = [Placed(_name_of(tile), tile.col_off, tile.row_off, tile.width, tile.height, side) for tile in made]
    with path.open("w", encoding="utf-8") as file:
        file.writelines(vrt_parts(header, placed))
    outputs_of(ctx).publish(mosaic_blobs(folder)[0], path, VRT_TYPE)


def _publish_mosaic(
    ctx: TaskContext, task: CollectTask, tiling: TilingPlan, header: OutputHeader, made: Sequence[Tile], folder: str
) -> None:
    with ctx.database.transaction() as conn:
        check_held(conn, tiling, ctx.job_id)
        boxes = tiles.item_boxes(conn, tiling.plan_id)
    listed = [MosaicTile(_name_of(tile), boxes[tile.stac_id or ""]) for tile in made]
    base, output = ctx.settings.asset_base_url, ctx.settings.output_container
    # Readers of MosaicJSON need addresses that are not relative. /vsiaz/ is GDAL's name for a blob of the account whose
    # key the reader has.
    prefix = href_of(base, output, folder) if base else f"/vsiaz/{output}/{folder}"
    size = abs(tiling.transform[0]) or abs(tiling.transform[1])
    degrees = size if CRS.from_wkt(tiling.crs_wkt).is_geographic else size / METRES_OF_A_DEGREE
    name = item_id(tiling.blob, task.version_id)
    side = max(tiling.tile_width, tiling.tile_height)
    document = ctx.work_folder / "mosaic.json"
    document.write_text(make_mosaic(name, f"{prefix}/", listed, degrees, side, header.dtype), encoding="utf-8")
    outputs_of(ctx).publish(mosaic_blobs(folder)[1], document, JSON_TYPE)


def _name_of(tile: Tile) -> str:
    return f"tiles/{tile.tile_id}.tif"


def _stale_items(ctx: TaskContext, task: CollectTask, made: Sequence[Tile], folder: str) -> dict[str, list[str]]:
    """Return the items of tiles that this version no longer has, or has in another collection now, by collection.

    The search goes through all ids (0.1 s for 100,000), so it comes before the catalog is locked. The folder belongs to
    this job alone, so no other adds to the items meanwhile.
    """
    source, version = ctx.source, task.version_id
    collection = collection_id(source.container, task.collection_id)
    kept = {(collection, tile.stac_id) for tile in made}
    start = item_id(source.blob, version)[: MAX_SLUG - LONGEST_TILE_ID - 1]
    with ctx.database.connection() as conn:
        found = catalog.find_outputs(conn, source.label, start)
    stale: dict[str, list[str]] = {}
    for output in found:
        tile_id = output.item_id.rpartition("-")[2]
        # Long ids may be cut off before the version; the link tells versions apart.
        link = href_of("", ctx.settings.output_container, tile_blob(folder, tile_id))
        ours = TILE_ID.fullmatch(tile_id) and output.item_id == tile_item_id(source.blob, version, tile_id)
        if ours and output.href.endswith(link) and (output.collection_id, output.item_id) not in kept:
            stale.setdefault(output.collection_id, []).append(output.item_id)
    return stale


def _remove_stale_blobs(ctx: TaskContext, made: Sequence[Tile], folder: str) -> None:
    """Delete the blobs of tiles that this version no longer has, after the commit: no item ever names a missing blob.

    A process that dies before they are gone leaves blobs that no item names; the next tiling of the version removes
    them. A stage of its own for this could fail a job whose outputs are all there.
    """
    kept = {tile_blob(folder, tile.tile_id) for tile in made}
    stale = [facts for facts in outputs_of(ctx).own_tiles_in(folder) if facts.name not in kept]

    def remove() -> None:
        with ThreadPoolExecutor(DELETIONS_AT_ONCE) as threads:
            # By ETag: the folder may belong to another job by then, which may have written the name again.
            list(
                threads.map(
                    lambda facts: ctx.blobs.delete(ctx.settings.output_container, facts.name, etag=facts.etag), stale
                )
            )

    ctx.after_commit(remove)


def _outcome(
    ctx: TaskContext, task: CollectTask, tiling: TilingPlan, listed: Sequence[Tile], folder: str, steps: Steps
) -> Json:
    made = [tile for tile in listed if not tile.skipped]
    vrt, mosaic = (outputs_of(ctx).path_of(blob) for blob in mosaic_blobs(folder))
    shown = [
        {
            "tile_id": tile.tile_id,
            "row": tile.row,
            "col": tile.col,
            "bounds": list(tile.bounds),
            "cog_path": tile.cog_path,
            "stac_id": tile.stac_id,
            "tile_size_gb": round(tile.width * tile.height * tiling.pixel_bytes / 1e9, 9),
            "processing_time_seconds": tile.seconds,
        }
        for tile in made
    ]
    return {
        "status": "completed",
        "plan_id": tiling.plan_id,
        "source": ctx.source_label,
        "tiles_created": len(made),
        "tiles_skipped": len(listed) - len(made),
        "tiles": shown,
        "collection_id": collection_id(tiling.container, task.collection_id) if made else None,
        "vrt_path": vrt,
        "mosaic_path": mosaic,
        "processing_stats": {**task.processing_stats, "collect": steps.as_json()},
    }
