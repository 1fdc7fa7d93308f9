"""Rasters in tiles: the plan, the tiles on one grid, the collection and the mosaics that open them as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, NoReturn

from pydantic import Field, model_validator

from controllers.base import JobOutcome
from controllers.jobs.raster import (
    CollectionName,
    OutputParameters,
    RasterController,
    RasterParameters,
    SizeLimit,
    TargetCrs,
)
from schema.errors import PermanentError, TransientError
from schema.jobs import JOB_ID_PATTERN, Job, Json, Stage, TaskResult, TaskSpec, TaskStatus
from services.raster.tiling.tasks import TileResult, TileTask


class TilesFailed(TransientError):
    """Tiles could not be made, for reasons that may pass; the others are there."""

    code = "tiles_failed"
    category = "task"


class GridParameters(RasterParameters):
    """How a raster is cut into tiles."""

    target_crs: TargetCrs = "EPSG:4326"
    optimize: Literal["none"] = Field(
        default="none",
        description="Data type of the tiles: always the source's, so that all of them have one.",
        examples=["none"],
    )
    target_tile_size_gb: float | None = Field(
        default=None,
        strict=True,
        gt=0,
        le=1000,
        description="Largest tile, in 1e9 bytes of uncompressed pixels; GEOSTAGE_TARGET_TILE_SIZE_GB by default.",
        examples=[0.25],
    )


class PlanParameters(GridParameters):
    """What generate_tiling_plan takes."""

    max_raster_size_gb: SizeLimit = Field(
        default=None,
        description="What process_large_raster refuses as too small when it is given this plan: a raster up to so "
        "many 1e9 bytes of uncompressed pixels; GEOSTAGE_MAX_RASTER_SIZE_GB by default.",
    )


class TileParameters(OutputParameters, GridParameters):
    """What tile_raster takes: the grid, or a plan that has decided it."""

    longest_ending: ClassVar[str] = "/tiles/r9999c9999.tif"
    collection_id: CollectionName = None
    plan_id: str | None = Field(
        default=None,
        pattern=JOB_ID_PATTERN,
        description="A plan that generate_tiling_plan made of the same file. It decides everything but version_id "
        "and collection_id; the other parameters are then left out.",
        examples=["01a20a6a5ac37d0bb3c1fe18eb7e12b2"],
    )

    @model_validator(mode="after")
    def _leave_to_the_plan(self) -> TileParameters:
        own = {"dataset_id", "resource_id", "version_id", "system", "collection_id", "plan_id", "optimize"}
        other = sorted(self.model_fields_set - own)
        if self.plan_id and any(getattr(self, name) is not None for name in other):
            raise ValueError(f"plan_id decides {', '.join(other)} too: leave them out, or plan_id")
        return self


class LargeParameters(TileParameters):
    """What process_large_raster takes."""

    max_raster_size_gb: SizeLimit = Field(
        default=None,
        description="A raster up to so many 1e9 bytes of uncompressed pixels is refused as too small, since "
        "process_raster takes it; GEOSTAGE_MAX_RASTER_SIZE_GB by default.",
    )


class TilingController(RasterController):
    """plan (1) -> tiles (one per tile) -> collect (1)."""

    Parameters = TileParameters
    stages = (
        Stage("plan", queue="raster"),
        # Tiles that failed are all there is to do again.
        Stage("tiles", queue="raster", on_failure="finish_all"),
        Stage("collect", queue="raster"),
    )
    only_large: ClassVar[bool] = False
    """Refuse what a single task could process."""

    def create_tasks(self, stage: Stage, job: Job, previous: Sequence[TaskResult]) -> list[TaskSpec]:
        """Plan once; make each tile; collect them."""
        del previous
        if stage.name == "plan":
            return [TaskSpec("raster_plan_tiles", {**self.task_parameters(job), "only_large": self.only_large})]
        plan = job.stage_data["plan"]
        kept = {key: job.parameters[key] for key in ("version_id", "collection_id") if job.parameters.get(key)}
        common = {"plan_id": plan["plan_id"], **kept}
        if stage.name == "tiles":
            places = [(row, col) for row in range(plan["rows"]) for col in range(plan["cols"])]
            tasks = [TileTask(row=row, col=col, **common) for row, col in places]
            return [TaskSpec("raster_tile", task.as_json()) for task in tasks]
        stats = {"plan": plan["processing_stats"], "tiles": job.stage_data["tiles"]["processing_stats"]}
        return [TaskSpec("raster_collect", {**common, "processing_stats": stats})]

    def stage_data(self, stage: Stage, job: Job, results: Sequence[TaskResult]) -> Json:
        """Hand on the plan, then the sums over all tiles. Raises the error of the tiles, where some failed."""
        del job
        if stage.name == "plan":
            return {"plan": dict(results[0].result or {})}
        if stage.name != "tiles":
            return {}
        failed = [result for result in results if result.status is not TaskStatus.COMPLETED]
        if failed:
            _fail(failed, len(results))
        tiles = [TileResult.from_json(result.result or {}) for result in results]
        seconds: dict[str, float] = {}
        for tile in tiles:
            for name, value in tile.processing_stats.items():
                seconds[name] = round(seconds.get(name, 0.0) + value, 3)
        skipped = sum(tile.skipped for tile in tiles)
        stats = {**seconds, "bytes_read": sum(tile.bytes_read for tile in tiles)}
        return {"tiles": {"created": len(tiles) - skipped, "skipped": skipped, "processing_stats": stats}}

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """The job's result is the collection's; warnings are those of the plan, and what the tiles show."""
        plan, sums = job.stage_data["plan"], job.stage_data["tiles"]
        warnings = list(plan.get("warnings", []))
        if not sums["created"]:
            message = "No pixel of the raster is valid: there is no tile."
            warnings.append({"code": "no_valid_pixels", "message": message, "count": 1})
        return JobOutcome(dict(results[0].result or {}), warnings=warnings)


def _fail(failed: Sequence[TaskResult], count: int) -> NoReturn:
    """Raise what ends the job: an error that another try cannot help first, else that tiles are to be tried again."""
    # An error that another try cannot help decides: a retry of the other tiles would only come back to it.
    found = [result.error or {} for result in failed]
    worst = next((error for error in found if not error.get("retryable")), None)
    if worst and worst.get("message"):
        remedy = worst.get("remediation", "")
        raise PermanentError(worst["message"], remediation=remedy, code=worst.get("code"), **_origin(worst))
    first = found[0].get("message", "it was cancelled")
    raise TilesFailed(
        f"{len(failed)} of {count} tiles failed. The first: {first}",
        remediation="POST .../retry makes those tiles again and keeps the others.",
        **_origin(found[0]),
    )


def _origin(error: Json) -> Json:
    """Return the task and the try that an error is of."""
    return {key: error.get(key) for key in ("task_id", "attempt")}


class GenerateTilingPlan(RasterController):
    """Plan the tiles that a raster would be cut into; only its header is read. tile_raster can work by the plan."""

    job_type = "generate_tiling_plan"
    Parameters = PlanParameters
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "target_tile_size_gb": 0.0001,
    }
    stages = (Stage("plan", queue="raster"),)

    task_type = "raster_plan_tiles"

    def task_parameters(self, job: Job) -> Json:
        return {**super().task_parameters(job), "list_tiles": True}


class TileRaster(TilingController):
    """Reproject a raster of any size and cut it into tiles on one grid: a Cloud Optimized GeoTIFF and a STAC item for
    each, and mosaics that open all of them as one.

    Stages: plan (1) -> tiles (one per tile) -> collect (1).
    """

    job_type = "tile_raster"
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        # A small tile size, here and in the other examples: the demo's raster is then cut into several tiles.
        "version_id": "tiles",
        "target_tile_size_gb": 0.0001,
    }


class ProcessLargeRaster(TilingController):
    """Process a raster that is too large for process_raster, in tiles as tile_raster does. A smaller one is refused.

    Stages: plan (1) -> tiles (one per tile) -> collect (1).
    """

    job_type = "process_large_raster"
    Parameters = LargeParameters
    only_large = True
    example: ClassVar[Json] = {
        "dataset_id": "bronze",
        "resource_id": "jacksboro_dem.tif",
        "version_id": "large",
        "max_raster_size_gb": 0.0001,
        "target_tile_size_gb": 0.0001,
    }
