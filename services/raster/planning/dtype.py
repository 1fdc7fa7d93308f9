"""Data types: the smallest integer type that holds every value and nodata exactly. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from services.raster.source.facts import RasterFacts
from services.raster.source.statistics import BandStatistics

CANDIDATES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
_EXACT_FLOAT = 2**53
"""Beyond this a float64 cannot hold every integer, so the values seen may not be those that were meant."""


def smallest_dtype(facts: RasterFacts, bands: Sequence[BandStatistics], nodata: float | None) -> str:
    """Return the smallest integer type that holds every value and nodata exactly, else the raster's own type.

    Parameters
    ----------
    facts
        Of the source.
    bands
        Statistics of the pixels that are written: after the warp, where averaging may have made fractions.
    nodata
        Of the output.
    """
    # The scale of an alpha band is the range of its type: 255 in uint8 is opaque, in uint16 nearly transparent.
    seen = [band for band in bands if band.minimum is not None and band.maximum is not None]
    if facts.is_complex or facts.alpha_band or not seen or not all(band.whole and not band.nans for band in bands):
        return facts.dtype
    values = [value for band in seen for value in (band.minimum, band.maximum) if value is not None]
    if nodata is not None:
        if not math.isfinite(nodata) or not float(nodata).is_integer():
            return facts.dtype
        values.append(int(nodata))
    low, high = int(min(values)), int(max(values))
    if facts.is_float and max(abs(low), abs(high)) > _EXACT_FLOAT:
        return facts.dtype
    fitting = (name for name in CANDIDATES if np.iinfo(name).min <= low and high <= np.iinfo(name).max)
    found = next(fitting, facts.dtype)
    size = int(np.dtype(found).itemsize)
    smaller = size < facts.item_bytes or (facts.is_float and size == facts.item_bytes)
    return found if smaller else facts.dtype


def holds(dtype: str, value: float) -> bool:
    """Whether a pixel of a data type can have exactly this value."""
    if dtype.startswith("complex"):
        return True
    if dtype.startswith("float"):
        return not math.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    if not math.isfinite(value) or not float(value).is_integer():
        return False
    info = np.iinfo(dtype)
    return int(info.min) <= int(value) <= int(info.max)
