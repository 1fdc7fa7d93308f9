"""Resampling: which method fits a kind of data, for warping and for overviews. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from schema.clipping import clip
from services.raster.source.facts import RasterFacts
from services.raster.source.statistics import RasterStatistics

Kind = Literal["continuous", "classes"]
_CLASS_WORDS = ("class", "mask", "landcover", "land_cover", "category", "label", "zone", "thematic", "flag")
_CLASS_NAMES = frozenset((
    "scl", "fmask", "qa", "mask", "flag", "flags", "class", "classes", "classification", "classified", "category",
    "landcover", "landuse", "lulc", "worldcover", "corine", "clc",
))  # fmt: skip
"""Words of file names. SCL is Sentinel-2's scene classification; Fmask and QA are those of Landsat."""
PIXELS_OF_A_CLASS = 20
"""A raster with fewer pixels for each value may have few values because it is small."""
_OVERVIEW_OF = {
    "nearest": "NEAREST", "bilinear": "BILINEAR", "cubic": "CUBIC", "cubic_spline": "CUBICSPLINE",
    "lanczos": "LANCZOS", "average": "AVERAGE", "mode": "MODE", "rms": "RMS", "max": "NEAREST", "min": "NEAREST",
    "med": "NEAREST", "q1": "NEAREST", "q3": "NEAREST", "sum": "AVERAGE",
}  # fmt: skip
"""GDAL's warp has more methods than its overviews: those that pick one of the values become NEAREST."""


@dataclass(frozen=True)
class DataKind:
    """What the values of a raster are, and by what that is known."""

    kind: Kind
    reason: str


def kind_of(label: str, facts: RasterFacts, statistics: RasterStatistics | None = None) -> DataKind:
    """Return whether values can be averaged: those of palettes, masks and classes cannot.

    Parameters
    ----------
    label
        Name of the file, whose last part may say what it holds.
    facts
        Of the file.
    statistics
        Of all its pixels; without them, classes that no name tells of are not recognized.
    """
    if facts.palette or any(band.color == "palette" for band in facts.bands):
        return DataKind("classes", "it has a palette")
    # LAYER_TYPE is how GDAL's HFA driver marks a thematic layer; other files show it only by a name.
    words = [band.description or "" for band in facts.bands]
    words += [value for band in facts.bands for key, value in band.tags if key.upper() == "LAYER_TYPE"]
    named = next((word for word in words if any(known in word.lower() for known in _CLASS_WORDS)), None)
    if named or dict(facts.tags).get("LAYER_TYPE", "").lower() == "thematic":
        return DataKind("classes", f"a band is called {clip(named)!r}" if named else "its layer type is thematic")
    if facts.is_float or facts.is_complex:
        return DataKind("continuous", f"its values are of type {facts.dtype}")
    parts = re.split(r"[^a-z0-9]+", label.rpartition("/")[2].lower())
    word = next((part for part in parts if part in _CLASS_NAMES), None)
    if word:
        return DataKind("classes", f"its name has the word {word!r}")
    values = statistics.bands[0].distinct if statistics and facts.count == 1 else None
    if values and len(values) > 1 and statistics and statistics.bands[0].valid >= PIXELS_OF_A_CLASS * len(values):
        return DataKind("classes", f"its pixels have {len(values)} different whole numbers")
    return DataKind("continuous", "nothing says that its values are classes")


def warp_method(kind: Kind, requested: str | None) -> str:
    """Return the resampling of a warp, as rasterio names it."""
    return requested or ("nearest" if kind == "classes" else "bilinear")


def overview_method(kind: Kind, requested: str | None) -> str:
    """Return the resampling of overviews, as GDAL's COG driver names it."""
    if requested:
        return _OVERVIEW_OF[requested]
    return "MODE" if kind == "classes" else "AVERAGE"
