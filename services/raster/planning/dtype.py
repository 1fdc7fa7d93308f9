"""Data types: the smallest integer type that holds every value and nodata exactly. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from services.raster.source.facts import RasterFacts
from services.raster.source.statistics import BandStatistics

CANDIDATES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
_EXACT_FLOAT = 2**53
"""Beyond this a float64 skips whole numbers."""


def smallest_dtype(facts: RasterFacts, bands: Sequence[BandStatistics], nodata: float | None) -> str:
    """Choose the data type that loses nothing; the one there is when no smaller one does.

    Alpha stays as it is: its scale depends on the type. So do complex numbers, fractions, NaN and rasters in which
    nothing is valid.
    """
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
    """Tell whether a pixel of a data type can have a value, exactly."""
    if dtype.startswith("complex"):
        return True
    if dtype.startswith("float"):
        return not math.isfinite(value) or abs(value) <= float(np.finfo(dtype).max)
    if not math.isfinite(value) or not float(value).is_integer():
        return False
    info = np.iinfo(dtype)
    return int(info.min) <= int(value) <= int(info.max)
