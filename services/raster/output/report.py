"""Reports: a raster before and after, and what an output lost or changed. Pure."""

from __future__ import annotations

import numpy as np
from pyproj import CRS

from schema.errors import PermanentError
from schema.jobs import Json
from services.crs import WGS84, crs_label, same_crs, transformer_between
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


def warnings_of(
    plan: RasterPlan, cog: CogPlan, before: RasterStatistics, after: RasterFacts, statistics: RasterStatistics
) -> list[Json]:
    """Return what an output lost or changed of its source.

    Parameters
    ----------
    plan, cog
        What was meant.
    before
        Of the source's pixels.
    after
        Read back from the file that was written.
    statistics
        Of the pixels that were written.
    """
    found = [*plan.warnings, *cog.warnings, *_lost(plan, cog, after)]
    if plan.nodata.assumed and cog.header.nodata is not None:
        found.append(_warning("nan_is_nodata", "NaN marks missing values, and is now declared as nodata."))
    found += _differences(plan, before, statistics, after)
    if statistics.covered == 0:
        found.append(_warning("no_valid_pixels", "The raster has no valid pixel."))
    if plan.facts.other_images:
        message = "The file has further images, which were not read."
        found.append(_warning("other_images_ignored", message, plan.facts.other_images))
    # GDAL's warp computes in float64.
    if plan.warp and plan.facts.dtype in ("int64", "uint64"):
        found.append(_warning("precision_limited", "Reprojection is exact for whole numbers up to 2^53."))
    return found


def _alike(one: CRS, other: CRS, facts: RasterFacts) -> bool:
    """Whether two CRSs place the corners of a raster alike, to a ten-millionth of a degree."""
    # GeoTIFF has codes and parameters but no names, so a CRS without a code is written in other words than it was read.
    if same_crs(one, other):
        return True
    left, bottom, right, top = bounds_of(facts.affine, facts.width, facts.height)
    x, y = np.array([left, right, (left + right) / 2]), np.array([bottom, top, (bottom + top) / 2])
    try:
        meant, written = (np.array(transformer_between("", crs, WGS84).transform(x, y)) for crs in (one, other))
    except PermanentError:
        # A conversion keeps CRSs that have no place on Earth, such as that of a building site.
        return str(one.type_name) == str(other.type_name)
    return bool(np.allclose(meant, written, rtol=0.0, atol=1e-7, equal_nan=True))


SHARE_DIFFERENCE = 0.1
"""Of valid pixels, by which an output may differ from its source: the scale of a projection changes within a raster."""
_OVERSHOOTING = ("cubic", "cubic_spline", "lanczos", "sum")
"""Resampling that makes values beyond those of the source."""


def _differences(plan: RasterPlan, before: RasterStatistics, after: RasterStatistics, facts: RasterFacts) -> list[Json]:
    """Return where CRS, share of valid pixels and range of values of an output are not what was meant."""
    found = []
    meant = plan.warp.grid.crs_wkt if plan.warp else plan.native_crs_wkt
    written = CRS.from_wkt(facts.crs_wkt) if facts.crs_wkt else None
    if (meant is None) != (written is None) or (meant and written and not _alike(CRS.from_wkt(meant), written, facts)):
        names = [crs_label(crs) if crs else "none" for crs in (CRS.from_wkt(meant) if meant else None, written)]
        found.append(_warning("crs_differs", f"The CRS of the output was meant to be {names[0]}, and is {names[1]}."))
    was, share = before.covered / max(1, before.bands[0].total), after.covered / max(1, after.bands[0].total)
    inside, placed = (plan.warp.inside, plan.warp.placed) if plan.warp else (1.0, 1.0)
    # Pixels without a place, such as those beside the Earth, may have been valid or not.
    least, most = was * inside, min(1.0, was / placed) * inside
    if not least - SHARE_DIFFERENCE * inside <= share <= most + SHARE_DIFFERENCE * inside:
        message = f"{share:.1%} of the output's pixels are valid, where about {most:.1%} were expected."
        found.append(_warning("valid_share_differs", message))
    if plan.warp and plan.warp.resampling in _OVERSHOOTING:
        return found
    for number, (one, other) in enumerate(zip(before.bands, after.bands, strict=True), start=1):
        if one.minimum is None or one.maximum is None or other.minimum is None or other.maximum is None:
            continue
        if number != plan.facts.alpha_band and (other.minimum < one.minimum or other.maximum > one.maximum):
            message = (
                f"Values of band {number} run from {plain_number(other.minimum)} to {plain_number(other.maximum)}, "
                f"beyond the source's {plain_number(one.minimum)} to {plain_number(one.maximum)}."
            )
            found.append(_warning("range_differs", message))
    return found


def resampling_reason(plan: RasterPlan) -> str:
    """Return why a raster and its overviews are resampled as they are."""
    if plan.options.resampling:
        return "It was requested."
    return f"Values are treated as {plan.kind.kind}: {plan.kind.reason}."


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
        "resampling_reason": resampling_reason(plan),
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
