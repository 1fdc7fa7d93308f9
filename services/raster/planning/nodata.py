"""Nodata and validity: how a raster says which of its pixels count, and what becomes of it. Pure."""

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
    """Which pixels count."""

    nodata: float | None
    """The value that stands for no data in source and output."""
    validity: Validity
    """By what the source says it; "all": it does not."""
    warnings: tuple[Json, ...] = ()
    assumed: bool = False
    """NaN stands for no data though the file does not say so."""


def plan_nodata(facts: RasterFacts, wished: float | str | None) -> NodataPlan:
    """Decide by what pixels are valid: the caller's nodata, the file's, its alpha band, its mask, or NaN.

    `wished` is a number, "nan", or "none" to take no value for nodata; None means what the file says.

    Raises
    ------
    PermanentError
        The caller's value is none that a pixel can have.
    """
    value, warnings = _value(facts, wished)
    if facts.alpha_band:
        return NodataPlan(value, "alpha", warnings)
    if facts.has_mask:
        return NodataPlan(value, "mask", warnings)
    if value is None and facts.is_float and wished != "none":
        # NaN is no measurement, whether the file says so or not.
        return NodataPlan(math.nan, "nodata", warnings, assumed=True)
    return NodataPlan(value, "nodata" if value is not None else "all", warnings)


def _value(facts: RasterFacts, wished: float | str | None) -> tuple[float | None, tuple[Json, ...]]:
    if wished == "none":
        return None, ()
    if wished is not None:
        value = float(wished)
        if not holds(facts.dtype, value):
            raise nodata_out_of_range(nodata=value, dtype=facts.dtype)
        return value, ()
    if facts.nodata is not None and not holds(facts.dtype, facts.nodata):
        message = (
            f"The file's nodata value {plain_number(facts.nodata)} is out of range for {facts.dtype} and is ignored."
        )
        return None, ({"code": "nodata_ignored", "message": message, "count": 1},)
    return facts.nodata, ()
