"""The VRT of a warp: a raster as it looks on the grid of a plan, described in XML and computed by GDAL when it is read.

rasterio.vrt.WarpedVRT does the same for most rasters, but with a grid given it takes neither the operation between two
CRSs nor ground control points, so grid and pixels could disagree: outside the areas of use of a CRS's operations GDAL
chooses one for the grid and others, point by point, for the pixels.
Format: https://gdal.org/en/stable/drivers/raster/vrt.html#warped-vrt
"""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from affine import Affine

from services.raster.planning.georeference import Transform
from services.raster.planning.plan import RasterPlan, WarpPlan
from services.raster.source.facts import GDAL_TYPES, RasterFacts

WARP_MEMORY_BYTES = 64_000_000
"""GDAL's default. A block needs less, unless the warp shrinks a raster very much; then GDAL splits it."""
TOLERANCE_PIXELS = 0.01
"""Allowed error of GDAL's approximation of the transformation. At its default of 0.125 one pixel in forty gets its
neighbor's value; the smaller one costs no time that can be measured."""
_METHODS = {
    "nearest": "NearestNeighbour", "bilinear": "Bilinear", "cubic": "Cubic", "cubic_spline": "CubicSpline",
    "lanczos": "Lanczos", "average": "Average", "mode": "Mode", "rms": "RootMeanSquare", "max": "Maximum",
    "min": "Minimum", "med": "Median", "q1": "Quartile1", "q3": "Quartile3", "sum": "Sum",
}  # fmt: skip
"""Names of resampling methods in a VRT."""
_RADIUS = {"bilinear": 1, "cubic": 2, "cubic_spline": 2, "lanczos": 3}
"""Of the kernels, in pixels of the output."""


def warp_vrt(plan: RasterPlan, warp: WarpPlan, source: str, threads: str, tolerance: float = TOLERANCE_PIXELS) -> str:
    """Return the VRT of a source on the grid of a plan.

    Parameters
    ----------
    plan
        Of the raster.
    warp
        Of the same plan.
    source
        Name by which GDAL opens the source.
    threads
        Number of threads, as GDAL takes it.
    tolerance
        Allowed error of the approximated transformation, in pixels of the source; 0 transforms every pixel.

    Returns
    -------
    str
        XML; its bands are those of the source, and one more for valid pixels where `adds_alpha`.
    """
    grid, facts = warp.grid, plan.facts
    root = ET.Element(
        "VRTDataset", rasterXSize=str(grid.width), rasterYSize=str(grid.height), subClass="VRTWarpedDataset"
    )
    _text(root, "SRS", grid.crs_wkt)
    _text(root, "GeoTransform", _numbers(_gdal_order(grid.transform)))
    _vrt_bands(root, plan)
    # One block of the VRT is one of the plan, so that GDAL never warps other pixels than those that are asked for.
    _text(root, "BlockXSize", str(warp.side))
    _text(root, "BlockYSize", str(warp.side))
    options = ET.SubElement(root, "GDALWarpOptions")
    _text(options, "WarpMemoryLimit", str(WARP_MEMORY_BYTES))
    _text(options, "ResampleAlg", _METHODS[warp.resampling])
    _text(options, "WorkingDataType", GDAL_TYPES[facts.dtype])
    for name, value in _warp_options(plan, warp, threads).items():
        ET.SubElement(options, "Option", name=name).text = value
    _text(options, "SourceDataset", source).set("relativeToVRT", "0")
    opening = ET.SubElement(options, "OpenOptions")
    # With several threads GDAL reports a damaged block once, and then returns it from its cache as if it were whole.
    ET.SubElement(opening, "OOI", key="NUM_THREADS").text = "1"
    _transformer(options, facts, warp, tolerance)
    _band_mappings(options, plan)
    return ET.tostring(root, encoding="unicode")


def adds_alpha(plan: RasterPlan) -> bool:
    """Whether a warp needs a band of its own for valid pixels: the source has neither nodata nor alpha."""
    # Corners that a warp leaves empty must not count as pixels of 0, so a raster of valid pixels only gets a mask too.
    return plan.nodata.validity in ("mask", "all")


def _vrt_bands(root: ET.Element, plan: RasterPlan) -> None:
    facts = plan.facts
    for number in range(1, facts.count + adds_alpha(plan) + 1):
        band = ET.SubElement(
            root, "VRTRasterBand", dataType=GDAL_TYPES[facts.dtype], band=str(number), subClass="VRTWarpedRasterBand"
        )
        if plan.nodata.nodata is not None and number <= facts.count:
            _text(band, "NoDataValue", repr(plan.nodata.nodata))
        if number == (facts.alpha_band or facts.count + 1):
            _text(band, "ColorInterp", "Alpha")


def _warp_options(plan: RasterPlan, warp: WarpPlan, threads: str) -> Mapping[str, str]:
    across, down = warp.scale
    # GDAL reads the source window of a block and a margin for the kernel, by the block's own scale. The scale of the
    # grid may ask for more, and a kernel that is cut off at the edge of a block would show the blocks.
    margin = int(_RADIUS.get(warp.resampling, 0) / min(across, down, 1.0)) + 2
    return {
        "INIT_DEST": "NO_DATA" if plan.nodata.nodata is not None else "0",
        # Each band has its own gaps: a pixel that is nodata in one band may hold a value in another.
        "UNIFIED_SRC_NODATA": "NO",
        # Otherwise GDAL takes the scale of the kernel from each block's source window. Where the source is rotated
        # against the grid, the window is larger than what lies under the block, and the kernel blurs.
        "XSCALE": repr(across),
        "YSCALE": repr(down),
        "SOURCE_EXTRA": str(margin),
        "NUM_THREADS": threads,
    }


def _transformer(parent: ET.Element, facts: RasterFacts, warp: WarpPlan, tolerance: float) -> None:
    element = ET.SubElement(parent, "Transformer")
    if tolerance:
        element = ET.SubElement(element, "ApproxTransformer")
        _text(element, "MaxError", repr(tolerance))
        element = ET.SubElement(element, "BaseTransformer")
    image = ET.SubElement(element, "GenImgProjTransformer")
    if facts.georeference == "gcps":
        points = ET.SubElement(ET.SubElement(image, "SrcGCPTransformer"), "GCPTransformer")
        # 0: the order of the polynomial follows from the number of points.
        _text(points, "Order", "0")
        _text(points, "Reversed", "0")
        listed = ET.SubElement(points, "GCPList")
        for number, gcp in enumerate(facts.gcps, start=1):
            place = {"Pixel": gcp.col, "Line": gcp.row, "X": gcp.x, "Y": gcp.y, "Z": gcp.z}
            ET.SubElement(listed, "GCP", {"Id": str(number), **{key: repr(value) for key, value in place.items()}})
    else:
        _geotransforms(image, "Src", facts.transform)
    _geotransforms(image, "Dst", warp.grid.transform)
    if warp.operation.pipeline is None:
        return
    way = ET.SubElement(ET.SubElement(image, "ReprojectTransformer"), "ReprojectionTransformer")
    _text(way, "SourceSRS", warp.source_crs_wkt)
    _text(way, "TargetSRS", warp.grid.crs_wkt)
    options = ET.SubElement(way, "Options")
    ET.SubElement(options, "Option", key="COORDINATE_OPERATION").text = warp.operation.pipeline
    if warp.center_longitude is not None:
        # PROJ answers with longitudes from -180 to 180, where a source that counts them from 0 to 360 has no pixels.
        ET.SubElement(options, "Option", key="CENTER_LONG").text = repr(warp.center_longitude)


def _band_mappings(parent: ET.Element, plan: RasterPlan) -> None:
    facts, nodata = plan.facts, plan.nodata.nodata
    bands = ET.SubElement(parent, "BandList")
    for number in range(1, facts.count + 1):
        # Alpha is not mapped as a band of values: GDAL computes it from the share of valid source pixels.
        if number == facts.alpha_band:
            continue
        band = ET.SubElement(bands, "BandMapping", src=str(number), dst=str(number))
        if nodata is not None:
            for name in ("SrcNoData", "DstNoData"):
                _text(band, f"{name}Real", repr(nodata))
                _text(band, f"{name}Imag", "0")
    if facts.alpha_band:
        _text(parent, "SrcAlphaBand", str(facts.alpha_band))
    if facts.alpha_band or adds_alpha(plan):
        _text(parent, "DstAlphaBand", str(facts.alpha_band or facts.count + 1))


def _geotransforms(parent: ET.Element, name: str, transform: Transform) -> None:
    a, b, c, d, e, f = tuple(~Affine(*transform))[:6]
    _text(parent, f"{name}GeoTransform", _numbers(_gdal_order(transform)))
    _text(parent, f"{name}InvGeoTransform", _numbers(_gdal_order((a, b, c, d, e, f))))


def _gdal_order(transform: Transform) -> tuple[float, ...]:
    a, b, c, d, e, f = transform
    return c, a, b, f, d, e


def _numbers(values: tuple[float, ...]) -> str:
    return ",".join(repr(float(value)) for value in values)


def _text(parent: ET.Element, name: str, text: str) -> ET.Element:
    element = ET.SubElement(parent, name)
    element.text = text
    return element
