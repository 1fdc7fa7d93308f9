"""Resampling: which method fits a kind of data, for warping and for overviews. Pure."""

from __future__ import annotations

from typing import Literal

from services.raster.source.facts import RasterFacts

Kind = Literal["continuous", "classes"]
WARP_METHODS = (
    "nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode", "max", "min", "med", "q1", "q3",
    "sum", "rms",
)  # fmt: skip
_CLASS_WORDS = ("class", "mask", "landcover", "land_cover", "category", "label", "zone", "thematic", "flag")
_OVERVIEW_OF = {
    "nearest": "NEAREST", "bilinear": "BILINEAR", "cubic": "CUBIC", "cubic_spline": "CUBICSPLINE",
    "lanczos": "LANCZOS", "average": "AVERAGE", "mode": "MODE", "rms": "RMS", "max": "NEAREST", "min": "NEAREST",
    "med": "NEAREST", "q1": "NEAREST", "q3": "NEAREST", "sum": "AVERAGE",
}  # fmt: skip


def kind_of(facts: RasterFacts, minimum: float | None = None, maximum: float | None = None) -> Kind:
    """Tell whether values can be averaged. Palettes, masks of two values and bands named as classes cannot.

    `minimum` and `maximum` of the pixels tell a mask, where they are known.
    """
    if facts.palette or any(band.color == "palette" for band in facts.bands):
        return "classes"
    # A GDAL thematic layer says so in its own tag; others only in a name.
    if dict(facts.tags).get("LAYER_TYPE", "").lower() == "thematic" or _named_as_classes(facts):
        return "classes"
    whole = not facts.is_float and not facts.is_complex
    if facts.count == 1 and whole and minimum is not None and maximum is not None:
        # 0 and 1 alone: a mask.
        return "classes" if (minimum, maximum) in ((0, 1), (0, 0), (1, 1)) else "continuous"
    return "continuous"


def warp_method(kind: Kind, wished: str | None) -> str:
    """Choose the method of warping, as rasterio names it."""
    return wished or ("nearest" if kind == "classes" else "bilinear")


def overview_method(kind: Kind, wished: str | None) -> str:
    """Choose the method of overviews, as GDAL's COG driver names it."""
    if wished:
        return _OVERVIEW_OF[wished]
    return "MODE" if kind == "classes" else "AVERAGE"


def _named_as_classes(facts: RasterFacts) -> bool:
    words = [band.description or "" for band in facts.bands]
    words += [value for band in facts.bands for key, value in band.tags if key.upper() == "LAYER_TYPE"]
    return any(known in word.lower() for word in words for known in _CLASS_WORDS)
