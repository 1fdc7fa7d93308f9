"""Facts: what the header of a raster says, as a frozen value; everything that is decided is decided from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from affine import Affine
from rasterio.enums import MaskFlags
from rasterio.io import DatasetReader

from schema.jobs import Json

Georeference = Literal["north_up", "rotated", "gcps", "rpcs", "none"]
GDAL_TYPES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32", "int32": "Int32",
    "uint64": "UInt64", "int64": "Int64", "float32": "Float32", "float64": "Float64",
    "complex_int16": "CInt16", "complex64": "CFloat32", "complex128": "CFloat64",
}  # fmt: skip
ITEM_BYTES = {"complex_int16": 4}
"""Bytes of a value, of the types that numpy does not have."""


@dataclass(frozen=True)
class BandFacts:
    """One band."""

    color: str
    """Color interpretation: gray, red, alpha, palette, ..."""
    description: str | None
    unit: str | None
    scale: float
    offset: float
    tags: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Gcp:
    """A ground control point: a position in the raster, in pixels, and its coordinates in the CRS."""

    row: float
    col: float
    x: float
    y: float
    z: float


@dataclass(frozen=True)
class RasterFacts:
    """The header of a raster."""

    driver: str
    width: int
    height: int
    dtype: str
    """Of all bands, as numpy names it; a GeoTIFF has one data type."""
    bands: tuple[BandFacts, ...]
    crs_wkt: str | None
    """Of the geotransform or of the ground control points."""
    georeference: Georeference
    transform: tuple[float, float, float, float, float, float]
    """a, b, c, d, e, f of affine.Affine: x = a col + b row + c."""
    gcps: tuple[Gcp, ...]
    nodata: float | None
    has_mask: bool
    """The dataset has a mask band, not one that is derived from nodata or alpha."""
    palette: tuple[tuple[int, tuple[int, int, int, int]], ...]
    tags: tuple[tuple[str, str], ...]
    area_or_point: str
    block_shape: tuple[int, int]
    """Rows, columns."""
    tiled: bool
    interleave: str
    compression: str
    overviews: tuple[int, ...]
    other_images: int
    """Number of further images in the file, which are not read."""
    rpcs: tuple[tuple[str, str], ...] = ()
    """Rational polynomial coefficients, which place the pixels of a satellite image, as GDAL's metadata."""
    band_masks: bool = False
    """Each band has a mask of its own."""

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.bands)

    @property
    def item_bytes(self) -> int:
        """Bytes of one value."""
        return ITEM_BYTES.get(self.dtype) or int(np.dtype(self.dtype).itemsize)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel in all bands."""
        return self.item_bytes * self.count

    @property
    def raw_bytes(self) -> int:
        """Bytes of all pixels, uncompressed."""
        return self.width * self.height * self.pixel_bytes

    @property
    def affine(self) -> Affine:
        """The geotransform."""
        return Affine(*self.transform)

    @property
    def alpha_band(self) -> int | None:
        """Number of the alpha band, from 1."""
        return next((n for n, band in enumerate(self.bands, start=1) if band.color == "alpha"), None)

    @property
    def is_complex(self) -> bool:
        return self.dtype.startswith("complex")

    @property
    def is_float(self) -> bool:
        """Whether pixels are real numbers, which may be NaN."""
        return self.dtype.startswith("float")


def facts_of(dataset: DatasetReader) -> RasterFacts:
    """Return the header of an open raster. A remote one transfers a few kilobytes."""
    gcps, gcp_crs = dataset.gcps
    crs, place = dataset.crs or gcp_crs, dataset.transform
    north_up = place.b == place.d == 0 and place.a > 0 > place.e
    georeference: Georeference = "north_up" if north_up else "rotated"
    # GDAL returns the identity for a file without a geotransform.
    if place == Affine.identity():
        georeference = "gcps" if gcps else "rpcs" if dataset.rpcs is not None else "none"
    tags = dict(dataset.tags())
    area_or_point = tags.pop("AREA_OR_POINT", "Area")
    return RasterFacts(
        driver=dataset.driver,
        width=dataset.width,
        height=dataset.height,
        dtype=dataset.dtypes[0],
        bands=tuple(_band(dataset, index) for index in dataset.indexes),
        crs_wkt=crs.to_wkt() if crs else None,
        georeference=georeference,
        transform=tuple(place)[:6],
        gcps=tuple(Gcp(p.row, p.col, p.x, p.y, p.z or 0.0) for p in gcps),
        nodata=dataset.nodata,
        has_mask=any(MaskFlags.per_dataset in f and MaskFlags.alpha not in f for f in dataset.mask_flag_enums),
        palette=_palette(dataset),
        tags=tuple(sorted(tags.items())),
        area_or_point=area_or_point,
        block_shape=dataset.block_shapes[0],
        tiled=bool(dataset.profile.get("tiled")),
        interleave=str(dataset.profile.get("interleave", "band")),
        compression=str(dataset.profile.get("compress", "none")).lower(),
        overviews=tuple(dataset.overviews(1)),
        other_images=max(0, len(dataset.subdatasets) - 1),
        rpcs=tuple(sorted(dataset.tags(ns="RPC").items())),
        # GDAL has no flag for masks of single bands: it is what is left when no other flag is set.
        band_masks=any(not flags for flags in dataset.mask_flag_enums),
    )


def describe(facts: RasterFacts) -> Json:
    """Return the facts as validate_raster reports them."""
    return {
        "driver": facts.driver,
        "width": facts.width,
        "height": facts.height,
        "bands": facts.count,
        "dtype": facts.dtype,
        "nodata": plain_number(facts.nodata),
        "mask": facts.has_mask,
        "color_interpretation": [band.color for band in facts.bands],
        "palette_entries": len(facts.palette),
        "band_descriptions": [band.description for band in facts.bands],
        "scales": [band.scale for band in facts.bands],
        "offsets": [band.offset for band in facts.bands],
        "units": [band.unit for band in facts.bands],
        "georeference": facts.georeference,
        "transform": list(facts.transform),
        "pixel_is": facts.area_or_point.lower(),
        "compression": facts.compression,
        "interleave": facts.interleave,
        "tiled": facts.tiled,
        "block_shape": list(facts.block_shape),
        "overviews": list(facts.overviews),
        "tags": dict(facts.tags),
        "uncompressed_gb": round(facts.raw_bytes / 1e9, 6),
    }


def plain_number(value: float | None) -> float | int | str | None:
    """Return a number as JSON can hold it: NaN and infinities as words, whole numbers without a decimal point."""
    if value is None:
        return None
    if math.isnan(value):
        return "nan"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return int(value) if float(value).is_integer() else float(value)


def _band(dataset: DatasetReader, index: int) -> BandFacts:
    # Statistics in the file describe its pixels as they were, before a warp.
    tags: dict[str, Any] = {k: v for k, v in dataset.tags(index).items() if not k.startswith("STATISTICS_")}
    return BandFacts(
        color=dataset.colorinterp[index - 1].name,
        description=dataset.descriptions[index - 1],
        unit=dataset.units[index - 1],
        scale=float(dataset.scales[index - 1]),
        offset=float(dataset.offsets[index - 1]),
        tags=tuple(sorted(tags.items())),
    )


def _palette(dataset: DatasetReader) -> tuple[tuple[int, tuple[int, int, int, int]], ...]:
    try:
        return tuple(sorted(dataset.colormap(1).items()))
    # rasterio has no other way to ask whether there is one.
    except ValueError:
        return ()


def bounds_of(affine: Affine, width: int, height: int) -> list[float]:
    """Return left, bottom, right, top of a grid, in the units of its CRS; `affine` maps columns and rows to them."""
    corners = [affine @ corner for corner in ((0, 0), (width, 0), (0, height), (width, height))]
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    return [min(xs), min(ys), max(xs), max(ys)]
