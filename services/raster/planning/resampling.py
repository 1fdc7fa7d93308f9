"""Resampling: which method fits a kind of data, for warping and for overviews. Pure."""

from __future__ import annotations

from typing import Literal

from services.raster.source.facts import RasterFacts

Kind = Literal["continuous", "classes"]
_CLASS_WORDS = ("class", "mask", "landcover", "land_cover", "category", "label", "zone", "thematic", "flag")
_OVERVIEW_OF = {
    "nearest": "NEAREST", "bilinear": "BILINEAR", "cubic": "CUBIC", "cubic_spline": "CUBICSPLINE",
    "lanczos": "LANCZOS", "average": "AVERAGE", "mode": "MODE", "rms": "RMS", "max": "NEAREST", "min": "NEAREST",
    "med": "NEAREST", "q1": "NEAREST", "q3": "NEAREST", "sum": "AVERAGE",
}  # fmt: skip
"""GDAL's warp has more methods than its overviews: those that pick one of the values become NEAREST."""


def kind_of(facts: RasterFacts, minimum: float | None = None, maximum: float | None = None) -> Kind:
    """Return whether values can be averaged: those of palettes, masks and bands named as classes cannot.

    `minimum` and `maximum` are those of the pixels; without them a mask of 0 and 1 is not recognized.
    """
    if facts.palette or any(band.color == "palette" for band in facts.bands):
        return "classes"
    # LAYER_TYPE is how GDAL's HFA driver marks a thematic layer; other files show it only by a name.
    words = [band.description or "" for band in facts.bands]
    words += [value for band in facts.bands for key, value in band.tags if key.upper() == "LAYER_TYPE"]
    named = any(known in word.lower() for word in words for known in _CLASS_WORDS)
    if named or dict(facts.tags).get("LAYER_TYPE", "").lower() == "thematic":
        return "classes"
    whole = not facts.is_float and not facts.is_complex
    if facts.count == 1 and whole and minimum is not None and maximum is not None:
        # Only 0 and 1: a mask.
        return "classes" if (minimum, maximum) in ((0, 1), (0, 0), (1, 1)) else "continuous"
    return "continuous"


def warp_method(kind: Kind, requested: str | None) -> str:
    """Return the resampling of a warp, as rasterio names it."""
    return requested or ("nearest" if kind == "classes" else "bilinear")


def overview_method(kind: Kind, requested: str | None) -> str:
    """Return the resampling of overviews, as GDAL's COG driver names it."""
    if requested:
        return _OVERVIEW_OF[requested]
    return "MODE" if kind == "classes" else "AVERAGE"
