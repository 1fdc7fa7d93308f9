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
from services.raster.options import Options
from services.raster.tiling.tasks import CollectTask, PlanResult, PlanTask, TileResult, TileSums, TileTask


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
            return [TaskSpec("raster_plan_tiles", _plan_task(job, only_large=self.only_large).as_json())]
        plan = PlanResult.from_json(job.stage_data["plan"])
        version, collection = job.parameters["version_id"], job.parameters["collection_id"]
        if stage.name == "tiles":
            places = [(row, col) for row in range(plan.rows) for col in range(plan.cols)]
            tasks = [TileTask(plan.plan_id, row, col, version, collection) for row, col in places]
            return [TaskSpec("raster_tile", task.as_json()) for task in tasks]
        sums = TileSums.from_json(job.stage_data["tiles"])
        stats = {"plan": plan.processing_stats, "tiles": sums.processing_stats}
        return [TaskSpec("raster_collect", CollectTask(plan.plan_id, stats, version, collection).as_json())]

    def stage_data(self, stage: Stage, job: Job, results: Sequence[TaskResult]) -> Json:
        """Hand on the plan, then the sums over all tiles. Raises the error of the tiles, where some failed."""
        del job
        if stage.name == "plan":
            return {"plan": PlanResult.from_json(results[0].result).as_json()}
        if stage.name != "tiles":
            return {}
        failed = [result for result in results if result.status is not TaskStatus.COMPLETED]
        if failed:
            _fail(failed, len(results))
        return {"tiles": TileSums.of([TileResult.from_json(result.result) for result in results]).as_json()}

    def aggregate_results(self, job: Job, results: Sequence[TaskResult]) -> JobOutcome:
        """The job's result is the collection's; warnings are those of the plan, and what the tiles show."""
        warnings = PlanResult.from_json(job.stage_data["plan"]).warnings
        if not TileSums.from_json(job.stage_data["tiles"]).created:
            message = "No pixel of the raster is valid: there is no tile."
            warnings.append({"code": "no_valid_pixels", "message": message, "count": 1})
        return JobOutcome(dict(results[0].result or {}), warnings=warnings)


def _plan_task(job: Job, *, list_tiles: bool = False, only_large: bool = False) -> PlanTask:
    own = ("plan_id", "target_tile_size_gb", "version_id", "collection_id")
    given = {name: job.parameters.get(name) for name in own}
    return PlanTask(Options.from_json(job.parameters), **given, list_tiles=list_tiles, only_large=only_large)


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
        return _plan_task(job, list_tiles=True).as_json()


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
