"""Plans: what will be done to a raster, decided from its header alone. Pure but for the grid, which GDAL suggests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pyproj import CRS
from rasterio.io import DatasetReader

from schema.jobs import Json
from services.crs import (
    WGS84,
    Operation,
    check_geographic_or_projected,
    crs_label,
    horizontal,
    parse_crs,
    same_crs,
    transformer_between,
)
from services.raster import errors
from services.raster.options import Options
from services.raster.planning.georeference import Grid, source_crs
from services.raster.planning.grids import kernel_scale, operation_for, plan_grid, row_span
from services.raster.planning.nodata import NodataPlan, plan_nodata
from services.raster.planning.resampling import DataKind, kind_of, overview_method, warp_method
from services.raster.source.blocks import MAX_BLOCK_BYTES, block_side
from services.raster.source.facts import RasterFacts, bounds_of
from services.raster.source.gdal import CACHE_BYTES
from services.raster.source.statistics import RasterStatistics

NATIVE = "native"
OUTPUT_GROWTH = 4.0
"""How many times the limit of a source its output may have. A polar raster in degrees, for example, grows without bound
and is mostly empty."""


@dataclass(frozen=True)
class WarpPlan:
    """How pixels are warped to the output grid."""

    grid: Grid
    source_crs_wkt: str
    resampling: str
    side: int
    """Of the square blocks that are warped one by one, aligned to the grid, in pixels."""
    row_span: float
    """Rows of the source that a row of blocks touches."""
    operation: Operation
    """From the CRS of the source to that of the grid."""
    scale: tuple[float, float]
    """Pixels of the grid along a pixel of the source, across and down; one for all blocks, see kernel_scale."""
    inside: float
    """Share of the grid's pixels that lie in the source, by samples."""
    placed: float
    """Share of the source's pixels that have a place in the CRS of the grid."""

    @property
    def center_longitude(self) -> float | None:
        """Of a geographic source that reaches beyond 180 degrees, in degrees."""
        return self.operation.center_longitude


@dataclass(frozen=True)
class RasterPlan:
    """Everything that is decided before the pixels are read."""

    facts: RasterFacts
    crs: CRS | None
    """Of the source; None only for a conversion, which keeps the pixels where they are."""
    nodata: NodataPlan
    kind: DataKind
    warp: WarpPlan | None
    """None: the pixels stay where they are."""
    options: Options
    warnings: tuple[Json, ...] = ()

    @property
    def warp_crs(self) -> CRS:
        """The CRS of the output, of a raster that is warped."""
        assert self.warp is not None
        return CRS.from_wkt(self.warp.grid.crs_wkt)

    @property
    def native_crs_wkt(self) -> str | None:
        """The CRS of an output whose pixels stay where they are: as the file spells it, unless the caller named one."""
        if self.crs is None:
            return None
        if has_ellipsoidal_heights(self.crs):
            return str(self.crs.to_2d().to_wkt())
        return self.facts.crs_wkt if self.options.source_crs is None else str(self.crs.to_wkt())

    @property
    def output_raw_bytes(self) -> int:
        """Uncompressed bytes of the output."""
        if self.warp is None:
            return self.facts.raw_bytes
        return self.warp.grid.width * self.warp.grid.height * self.facts.pixel_bytes

    @property
    def overviews(self) -> str:
        """The resampling of overviews, as GDAL names it."""
        return overview_method(self.kind.kind, self.options.resampling)

    def knowing(self, label: str, statistics: RasterStatistics) -> RasterPlan:
        """Return the plan by what the pixels of the source are; `statistics` are those of all of them."""
        kind = kind_of(label, self.facts, statistics)
        warp = self.warp and replace(self.warp, resampling=warp_method(kind.kind, self.options.resampling))
        return replace(self, kind=kind, warp=warp)


def check_size(label: str, facts: RasterFacts, limit_gb: float) -> None:
    """Check that a raster is small enough for one task. Raises PermanentError raster_too_large."""
    if facts.raw_bytes > limit_gb * 1e9:
        raise errors.raster_too_large(label=label, gigabytes=facts.raw_bytes / 1e9, limit=limit_gb)


def check_blocks(label: str, facts: RasterFacts) -> None:
    """Check that every block can be decoded in bounded memory. Raises PermanentError raster_unreadable."""
    rows, cols = facts.block_shape
    size = rows * cols * facts.item_bytes * (facts.count if facts.interleave == "pixel" else 1)
    # An uncompressed strip need not be decoded: GDAL reads it line by line.
    if size > MAX_BLOCK_BYTES and facts.compression != "none":
        raise errors.blocks_too_large(label=label, megabytes=size / 1e6)


def plan_process(label: str, dataset: DatasetReader, facts: RasterFacts, options: Options) -> RasterPlan:
    """Plan process_raster from the header of an open raster.

    Raises
    ------
    PermanentError
        unsupported_dtype, or one of those about CRS and position: crs_missing, crs_unknown, crs_not_transformable,
        crs_not_plane, not_georeferenced, longitudes_beyond_180.
    """
    if facts.is_complex:
        raise errors.unsupported_dtype(label=label, dtype=facts.dtype)
    found = source_crs(label, facts, options.source_crs)
    native = options.target_crs.lower() == NATIVE
    target = horizontal(found.crs) if native else parse_crs(options.target_crs)
    # Even where the pixels stay, the item in the catalog needs longitude and latitude.
    transformer_between(label, found.crs, WGS84)
    check_geographic_or_projected(found.crs)
    check_geographic_or_projected(target)
    kind = kind_of(label, facts)
    # Control points describe no grid, so even "native" needs a warp.
    off_grid = facts.georeference == "gcps"
    warp = None
    if off_grid or (not native and (facts.georeference != "north_up" or not same_crs(found.crs, target))):
        source = horizontal(found.crs)
        operation = operation_for(label, facts, source, target)
        grid = plan_grid(label, dataset, facts, source, target, operation)
        side = block_side(facts.pixel_bytes)
        span, (scale, inside, placed) = (
            row_span(facts, grid, operation, side),
            kernel_scale(facts, source, grid, operation),
        )
        method = warp_method(kind.kind, options.resampling)
        warp = WarpPlan(grid, source.to_wkt(), method, side, span, operation, scale, inside, placed)
    nodata = plan_nodata(facts, options.nodata)
    warnings = (*found.warnings, *nodata.warnings, *_changes(facts, found.crs, native=native, warps=warp is not None))
    return RasterPlan(facts, found.crs, nodata, kind, warp, options, warnings)


def plan_conversion(label: str, facts: RasterFacts, options: Options) -> RasterPlan:
    """Plan cog_conversion: pixels and position stay as they are, and a raster without a CRS stays without one."""
    warnings: tuple[Json, ...] = ()
    crs = None
    if options.source_crs:
        crs = parse_crs(options.source_crs)
    elif facts.crs_wkt:
        crs = CRS.from_wkt(facts.crs_wkt)
    else:
        message = f"{label} has no coordinate reference system, so the COG has none."
        warnings = ({"code": "crs_missing", "message": message, "count": 1},)
    nodata = plan_nodata(facts, options.nodata)
    warnings = (*warnings, *nodata.warnings, *_changes(facts, crs, native=True, warps=False))
    return RasterPlan(facts, crs, nodata, kind_of(label, facts), None, options, warnings)


def has_ellipsoidal_heights(crs: CRS) -> bool:
    """Whether a projected CRS has a third axis: GDAL cannot write such a one into a GeoTIFF."""
    return bool(crs.is_projected) and not crs.is_compound and len(crs.axis_info) == 3


def _changes(facts: RasterFacts, crs: CRS | None, *, native: bool, warps: bool) -> Iterator[Json]:
    """Yield warnings of what the header shows will be lost or changed."""
    if native and warps:
        message = "Ground control points describe no grid, so the pixels were resampled to one in the file's CRS."
        yield {"code": "resampled", "message": message, "count": len(facts.gcps)}
    if warps and facts.rpcs:
        message = "The rational polynomial coefficients (RPC) hold for the source's pixels and were left out."
        yield {"code": "rpcs_left_out", "message": message, "count": 1}
    if facts.band_masks:
        message = "Bands have masks of their own, which were not read: every pixel of them counts as valid."
        yield {"code": "band_masks_ignored", "message": message, "count": facts.count}
    if crs and has_ellipsoidal_heights(crs) and not warps:
        message = f"{crs_label(crs)} has ellipsoidal heights, which a GeoTIFF cannot name: the output has it without."
        yield {"code": "heights_left_out", "message": message, "count": 1}
    if crs and crs.is_geographic and not warps and facts.georeference == "north_up":
        west, _, east, _ = bounds_of(facts.affine, facts.width, facts.height)
        # Less than half of it beyond: it lies across the antimeridian, and either way of counting has a jump.
        if max(east - 180.0, -180.0 - west) >= (east - west) / 2:
            message = f"Longitudes run from {west:g} to {east:g} and were kept; the item has them from -180 to 180."
            yield {"code": "longitudes_beyond_180", "message": message, "count": 1}


def needs_tiles(plan: RasterPlan, cache_bytes: int = CACHE_BYTES) -> bool:
    """Whether a source must first be copied into tiles: it is in strips, and is not read from top to bottom."""
    facts = plan.facts
    if facts.tiled or facts.raw_bytes <= cache_bytes // 2:
        return False
    # Blocks and overviews of a COG are made from it in different orders, and each would decode the strips again.
    if plan.warp is None:
        return True
    # A warp goes through rows of blocks: it decodes each strip once while those under a row fit in GDAL's cache.
    return plan.warp.row_span * facts.width * facts.pixel_bytes > cache_bytes * 0.8


def disk_bytes(plan: RasterPlan, source_bytes: int) -> int:
    """Return an estimate of the disk that a task needs: source, copy in tiles, warped pixels, COG with overviews."""
    # What is written compresses about as well as the source did; 1.5 is a guess on the safe side.
    ratio = min(1.0, 1.5 * source_bytes / max(1, plan.facts.raw_bytes))
    tiles = plan.facts.raw_bytes * ratio if needs_tiles(plan) else 0
    warped = plan.output_raw_bytes * ratio if plan.warp else 0
    # 1.7: the COG and a third for its overviews, which the driver holds in a temporary file too.
    return int(source_bytes + tiles + warped + 1.7 * plan.output_raw_bytes * ratio)


def check_output(plan: RasterPlan, limit_gb: float) -> None:
    """Check that reprojection did not multiply the pixels. Raises PermanentError output_too_large."""
    if plan.warp and plan.output_raw_bytes > OUTPUT_GROWTH * limit_gb * 1e9:
        target = crs_label(CRS.from_wkt(plan.warp.grid.crs_wkt))
        raise errors.output_too_large(crs=target, gigabytes=plan.output_raw_bytes / 1e9, limit=OUTPUT_GROWTH * limit_gb)
