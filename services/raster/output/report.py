"""Reports: a raster before and after, and what an output lost or changed. Pure."""

from __future__ import annotations

from schema.jobs import Json
from services.crs import crs_label
from services.raster.output.cog import CogPlan, plan_cog
from services.raster.planning.plan import RasterPlan
from services.raster.source.facts import RasterFacts, bounds_of, plain_number
from services.raster.source.statistics import RasterStatistics


def state_of(facts: RasterFacts, crs: str | None, nodata: float | None, statistics: RasterStatistics) -> Json:
    """Return one side of the before/after report."""
    seen = [band for band in statistics.bands if band.minimum is not None and band.maximum is not None]
    return {
        "bands": facts.count,
        "dtype": facts.dtype,
        "nodata": plain_number(nodata),
        "crs": crs,
        "width": facts.width,
        "height": facts.height,
        "total_pixels": facts.width * facts.height,
        "valid_pixels": statistics.covered,
        "minimum": plain_number(min((b.minimum for b in seen if b.minimum is not None), default=None)),
        "maximum": plain_number(max((b.maximum for b in seen if b.maximum is not None), default=None)),
        "mask": facts.has_mask,
        "color_interpretation": [band.color for band in facts.bands],
        "band_statistics": [band.as_json() for band in statistics.bands],
    }


def warnings_of(plan: RasterPlan, cog: CogPlan, after: RasterFacts, statistics: RasterStatistics) -> list[Json]:
    """Return what an output lost or changed of its source; `after` is read back from the file that was written."""
    found = [*plan.warnings, *cog.warnings, *_lost(plan, cog, after)]
    if plan.nodata.assumed and cog.header.nodata is not None:
        found.append(_warning("nan_is_nodata", "NaN marks missing values, and is now declared as nodata."))
    if statistics.covered == 0:
        found.append(_warning("no_valid_pixels", "The raster has no valid pixel."))
    if plan.facts.other_images:
        message = "The file has further images, which were not read."
        found.append(_warning("other_images_ignored", message, plan.facts.other_images))
    # GDAL's warp computes in float64.
    if plan.warp and plan.facts.dtype in ("int64", "uint64"):
        found.append(_warning("precision_limited", "Reprojection is exact for whole numbers up to 2^53."))
    return found


def _lost(plan: RasterPlan, cog: CogPlan, after: RasterFacts) -> list[Json]:
    before = plan.facts
    pairs = {
        "color_interpretation": ([b.color for b in before.bands], [b.color for b in after.bands]),
        "band_names": ([b.description for b in before.bands], [b.description for b in after.bands]),
        "scale_offset": ([(b.scale, b.offset) for b in before.bands], [(b.scale, b.offset) for b in after.bands]),
        "units": ([b.unit for b in before.bands], [b.unit for b in after.bands]),
        # GDAL writes a color table of as many entries as the data type has values.
        "palette": (before.palette[: 256 if after.dtype == "uint8" else None], after.palette),
        "metadata": (dict(before.tags), {k: v for k, v in after.tags if k in dict(before.tags)}),
        "nodata": (plain_number(cog.header.nodata), plain_number(after.nodata)),
        "mask": (cog.header.with_mask, after.has_mask),
    }
    changed = [name for name, (one, other) in pairs.items() if one != other]
    found = [
        _warning(f"{name}_changed", f"{name.replace('_', ' ').capitalize()} could not be kept.") for name in changed
    ]
    old, new = plain_number(before.nodata), plain_number(cog.header.nodata)
    if old is not None and new is not None and old != new:
        message = f"nodata was {old} and is {new}, as requested."
        found.append(_warning("nodata_replaced", message))
    return found


def _warning(code: str, message: str, count: int = 1) -> Json:
    return {"code": code, "message": message, "count": count}


def forecast(plan: RasterPlan, statistics: RasterStatistics, limit_gb: float) -> Json:
    """Return what process_raster would do with a raster of this header and these pixels."""
    warp = plan.warp
    expected = plan_cog(plan, statistics)
    return {
        "job_type": "process_large_raster" if plan.facts.raw_bytes > limit_gb * 1e9 else "process_raster",
        "reproject": warp is not None,
        "target_crs": crs_label(plan.warp_crs) if warp else crs_label(plan.crs) if plan.crs else None,
        "resampling": warp.resampling if warp else None,
        "width": warp.grid.width if warp else plan.facts.width,
        "height": warp.grid.height if warp else plan.facts.height,
        "bounds": bounds_of(warp.grid.affine, warp.grid.width, warp.grid.height) if warp else None,
        # Averaging makes fractions of integers, which show only in the warped pixels.
        "dtype": expected.header.dtype if warp is None or warp.resampling == "nearest" else plan.facts.dtype,
        "nodata": plain_number(expected.header.nodata),
        "valid_by": plan.nodata.validity,
        "profile": expected.profile,
        "overview_resampling": expected.overviews.lower(),
    }
