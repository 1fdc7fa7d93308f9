"""Handlers of single rasters: validate_raster, cog_conversion and process_raster. Each reads as its list of steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schema.errors import PermanentError
from schema.jobs import Json
from services.context import TaskContext
from services.crs import crs_label
from services.handlers.items import check_items, output_item, write_items
from services.raster import errors
from services.raster.options import Options, RasterTask
from services.raster.output import report
from services.raster.output.cog import MEDIA_TYPE, CogPlan, check_cog, plan_cog, validate_cog, write_cog
from services.raster.output.outputs import Outputs
from services.raster.output.steps import Steps
from services.raster.output.tiled_file import copy_writer, grid_writer
from services.raster.output.warp import warp_pixels
from services.raster.planning.plan import (
    RasterPlan,
    WarpPlan,
    check_blocks,
    check_output,
    check_size,
    disk_bytes,
    needs_tiles,
    plan_conversion,
    plan_process,
)
from services.raster.source.facts import RasterFacts, describe, facts_of
from services.raster.source.gdal import CACHE_BYTES, gdal_environment, open_tiff
from services.raster.source.remote import fetch, open_fetched, open_remote
from services.raster.source.scan import Scan, block_name, check_undamaged, scan
from services.raster.source.statistics import RasterStatistics
from services.stac.ids import item_id
from services.stac.items.item import record_of

WORLD_FILES = (".tfw", ".tfwx", ".tifw", ".tiffw", ".wld")
"""Extensions of files that place the pixels of the image beside them."""


@dataclass(frozen=True)
class Cog:
    """A finished COG in the work folder."""

    path: Path
    plan: CogPlan
    facts: RasterFacts
    """Read back from the file."""
    statistics: RasterStatistics
    """Of the pixels that were written."""


def validate_raster(ctx: TaskContext) -> Json:
    """Read every pixel of a raster and report on it; nothing is written."""
    steps, options = Steps(), Options.from_json(ctx.parameters)
    with gdal_environment():
        with steps.step("look"):
            plan = _plan(ctx, options, process=True, limited=False)
        with steps.step("fetch"):
            path = _fetch(ctx, ctx.source.size)
        with steps.step("read"), open_fetched(ctx.source_label, path) as dataset:
            found = scan(dataset, plan.facts, plan.nodata.nodata, ctx.check)
        plan = plan.knowing(ctx.source_label, found.statistics)
        with steps.step("validate_cog"):
            cog = validate_cog(path)
    return _validation(ctx, plan, found, cog, steps)


def cog_conversion(ctx: TaskContext, *, cache_bytes: int = CACHE_BYTES) -> Json:
    """Make a COG of a raster with the same pixels in the same place."""
    steps, task, outputs = Steps(), RasterTask.from_json(ctx.parameters), outputs_of(ctx)
    # Whether the name is free is asked before the work, and again by the commit of the blob.
    blob = outputs.cog(task.version_id)
    with gdal_environment():
        with steps.step("look"):
            plan = _plan(ctx, task, process=False, limited=False)
        with steps.step("fetch"):
            path = _fetch(ctx, disk_bytes(plan, ctx.source.size))
        with steps.step("validate"):
            found, path = _read_all(ctx, plan, path, cache_bytes)
        plan = plan.knowing(ctx.source_label, found.statistics)
        cog = _make_cog(ctx, steps, plan, path, found.statistics)
    ctx.check()
    with steps.step("publish"):
        outputs.publish(blob, cog.path, MEDIA_TYPE)
    return {
        "cog_path": outputs.path_of(blob),
        "source": ctx.source_label,
        **_outcome(plan, cog, found.statistics),
        "processing_stats": steps.as_json(),
    }


def process_raster(ctx: TaskContext) -> Json:
    """Validate a raster, reproject it, make its COG, and catalog it."""
    steps, task, outputs = Steps(), RasterTask.from_json(ctx.parameters), outputs_of(ctx)
    blob = outputs.cog(task.version_id)
    with gdal_environment():
        with steps.step("validate"):
            plan = _plan(ctx, task, process=True, limited=True)
        with steps.step("fetch"):
            path = _fetch(ctx, disk_bytes(plan, ctx.source.size))
        with steps.step("validate"):
            found, path = _read_all(ctx, plan, path)
        plan, statistics = plan.knowing(ctx.source_label, found.statistics), found.statistics
        with steps.step("reproject"):
            if plan.warp:
                path, statistics = _reproject(ctx, plan, plan.warp, path)
        cog = _make_cog(ctx, steps, plan, path, statistics)
    with steps.step("catalog_stac"):
        name = item_id(ctx.source.blob, task.version_id)
        item = output_item(ctx, cog.path, blob, cog.statistics, name, task.collection_id)
        check_items(ctx, item.collection_id or "", {name: blob})
    ctx.check()
    with steps.step("publish"):
        outputs.publish(blob, cog.path, MEDIA_TYPE)
    # The item follows the file that it links to, in the transaction that finishes the task: both exist, or no item.
    with steps.step("catalog_stac"):
        write_items(ctx, [record_of(item)])
    return {
        "cog_path": outputs.path_of(blob),
        "source": ctx.source_label,
        "stac_id": item.id,
        "collection_id": item.collection_id,
        **_outcome(plan, cog, found.statistics),
        "processing_stats": steps.as_json(),
    }


def outputs_of(ctx: TaskContext) -> Outputs:
    """Return the outputs of the task's source, as this attempt writes them."""
    return Outputs(ctx.blobs, ctx.settings.output_container, ctx.source, ctx.task.attempt)


@contextmanager
def naming_world_files(ctx: TaskContext) -> Iterator[None]:
    """Let the error of a raster without a position name the world file that lies beside it in its container."""
    try:
        yield
    except PermanentError as exc:
        if exc.error_code != "not_georeferenced":
            raise
        stem = str(PurePosixPath(ctx.source.blob).with_suffix(""))
        listed = (facts.name for facts in ctx.blobs.list_blobs(ctx.source.container, f"{stem}."))
        found = next((name for name in listed if name.removeprefix(stem).lower() in WORLD_FILES), None)
        raise errors.not_georeferenced(label=ctx.source_label, world_file=found) from exc


def _plan(ctx: TaskContext, options: Options, *, process: bool, limited: bool) -> RasterPlan:
    """Plan from the header alone: what cannot work is refused before anything is downloaded."""
    label = ctx.source_label
    limit = options.max_raster_size_gb or ctx.settings.max_raster_size_gb
    with naming_world_files(ctx), open_remote(ctx.blobs, ctx.source) as dataset:
        facts = facts_of(dataset)
        if limited:
            check_size(label, facts, limit)
        check_blocks(label, facts)
        plan = plan_process(label, dataset, facts, options) if process else plan_conversion(label, facts, options)
    if limited:
        check_output(plan, limit)
    return plan


def _fetch(ctx: TaskContext, needed_bytes: int) -> Path:
    errors.check_disk(ctx.work_folder, needed_bytes)
    path = fetch(ctx.blobs, ctx.source, ctx.work_folder)
    ctx.check()
    return path


def _read_all(ctx: TaskContext, plan: RasterPlan, path: Path, cache_bytes: int = CACHE_BYTES) -> tuple[Scan, Path]:
    """Read every block, and return what was found and the file to go on with. Raises PermanentError for damage.

    That file is a copy in tiles where the source is in strips: the one pass that reads every block makes it too.
    """
    facts, nodata, tiles = plan.facts, plan.nodata.nodata, ctx.work_folder / "tiles.tif"
    with open_fetched(ctx.source_label, path) as dataset:
        if needs_tiles(plan, cache_bytes):
            with copy_writer(tiles, facts) as writer:
                found = scan(dataset, facts, nodata, ctx.check, writer.write)
        else:
            tiles, found = path, scan(dataset, facts, nodata, ctx.check)
    check_undamaged(ctx.source_label, found, facts)
    if tiles != path:
        path.unlink()
    return found, tiles


def _reproject(ctx: TaskContext, plan: RasterPlan, warp: WarpPlan, path: Path) -> tuple[Path, RasterStatistics]:
    # Warping into a tiled file first and making the COG from it is as fast as GDAL's COG driver doing both, at a
    # fraction of the memory.
    target = ctx.work_folder / "warped.tif"
    with (
        open_fetched(ctx.source_label, path) as dataset,
        grid_writer(target, plan.facts, warp.grid, warp.side) as writer,
    ):
        statistics = warp_pixels(dataset, plan, warp, writer, ctx.check)
    path.unlink()
    return target, statistics


def _make_cog(ctx: TaskContext, steps: Steps, plan: RasterPlan, pixels: Path, statistics: RasterStatistics) -> Cog:
    with steps.step("optimize"):
        cog = plan_cog(plan, statistics)
    ctx.check()
    target = ctx.work_folder / "cog.tif"
    with steps.step("create_cog"):
        write_cog(cog, pixels, target)
    ctx.check()
    with steps.step("validate_cog"):
        check_cog(target)
        with open_tiff(target) as dataset:
            facts = facts_of(dataset)
    return Cog(target, cog, facts, statistics)


def _outcome(plan: RasterPlan, cog: Cog, before: RasterStatistics) -> Json:
    crs = crs_label(plan.crs) if plan.crs else None
    after_crs = crs if plan.warp is None else crs_label(plan.warp_crs)
    return {
        "report": {
            "before": report.state_of(plan.facts, crs, plan.facts.nodata, before),
            "after": report.state_of(cog.facts, after_crs, cog.facts.nodata, cog.statistics),
        },
        "resampling": plan.warp.resampling if plan.warp else None,
        "resampling_reason": report.resampling_reason(plan),
        "resampling_scale": list(plan.warp.scale) if plan.warp else None,
        "overview_resampling": cog.plan.overviews.lower(),
        "profile": cog.plan.profile,
        "warnings": report.warnings_of(plan, cog.plan, before, cog.facts, cog.statistics),
        "size_bytes": cog.path.stat().st_size,
    }


def _validation(ctx: TaskContext, plan: RasterPlan, found: Scan, cog: Json, steps: Steps) -> Json:
    facts, limit = plan.facts, plan.options.max_raster_size_gb or ctx.settings.max_raster_size_gb
    return {
        "source": ctx.source_label,
        "valid": not found.damaged,
        **describe(facts),
        "crs": crs_label(plan.crs) if plan.crs else None,
        "statistics": [band.as_json() for band in found.statistics.bands],
        "valid_pixels": found.statistics.covered,
        "blocks": found.blocks,
        "damaged_blocks": found.damaged,
        "first_damaged_blocks": [block_name(window, facts) for window in found.first_damaged],
        "cog": cog,
        "process_raster": report.forecast(plan, found.statistics, limit),
        "warnings": list(plan.warnings),
        "processing_stats": steps.as_json(),
    }
