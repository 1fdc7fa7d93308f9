"""Nodata and validity: which pixels of a raster are valid, and how the file marks them. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from schema.jobs import Json
from services.raster.errors import nodata_out_of_range
from services.raster.planning.dtype import holds
from services.raster.source.facts import RasterFacts, plain_number

Validity = Literal["nodata", "alpha", "mask", "all"]


@dataclass(frozen=True)
class NodataPlan:
    """Which pixels are valid."""

    nodata: float | None
    """The value that stands for no data in source and output."""
    validity: Validity
    """How the source marks its valid pixels; "all": it does not, and every pixel is valid."""
    warnings: tuple[Json, ...] = ()
    assumed: bool = False
    """NaN counts as nodata although the file does not declare it."""


def plan_nodata(facts: RasterFacts, requested: float | str | None) -> NodataPlan:
    """Decide what marks valid pixels: an alpha band or a mask, else a nodata value, or in floating-point rasters NaN.

    `requested` is a number, "nan", or "none" to declare no nodata value; None means that of the file.

    Raises
    ------
    PermanentError
        nodata_out_of_range: no pixel of the raster's data type can have the requested value.
    """
    value, warnings = _value(facts, requested)
    if facts.alpha_band or facts.has_mask:
        validity: Validity = "alpha" if facts.alpha_band else "mask"
        if value is not None:
            what = "alpha band" if facts.alpha_band else "mask"
            message = (
                f"The file's {what} says which pixels are valid, so the nodata value {plain_number(value)} is ignored: "
                "pixels of that value are data where they are valid."
            )
            warnings = ({"code": "nodata_ignored", "message": message, "count": 1},)
        # Declared beside a mask or an alpha band, nodata would make holes in the data for readers that prefer it.
        return NodataPlan(None, validity, warnings)
    if value is None and facts.is_float and requested != "none":
        # NaN is never a measurement. As nodata it stays out of averages and statistics, and the warp needs no mask.
        return NodataPlan(math.nan, "nodata", warnings, assumed=True)
    return NodataPlan(value, "nodata" if value is not None else "all", warnings)


def _value(facts: RasterFacts, requested: float | str | None) -> tuple[float | None, tuple[Json, ...]]:
    if requested == "none":
        return None, ()
    if requested is not None:
        value = float(requested)
        if not holds(facts.dtype, value):
            raise nodata_out_of_range(nodata=value, dtype=facts.dtype)
        return value, ()
    if facts.nodata is not None and not holds(facts.dtype, facts.nodata):
        message = (
            f"The file's nodata value {plain_number(facts.nodata)} is out of range for {facts.dtype} and is ignored."
        )
        return None, ({"code": "nodata_ignored", "message": message, "count": 1},)
    return facts.nodata, ()
