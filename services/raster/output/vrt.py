"""VRTs that Geostage writes: over the pixels of a file, from which a COG is made, and over the tiles of a mosaic. Pure.

The VRT holds all of a COG but its pixels: data type, nodata, mask, colors, scale and offset, names, metadata, CRS and
transform. So the COG is written once, from front to back; changing its header afterwards would break its layout. VRTs
of users are never opened, since they can refer to other files and hosts.
Format: https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from services.raster.source.facts import GDAL_TYPES, BandFacts, Gcp

_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that a TIFF tag may hold and XML may not: https://www.w3.org/TR/xml/#charsets"""
_COLORS = {
    "gray": "Gray", "palette": "Palette", "red": "Red", "green": "Green", "blue": "Blue", "alpha": "Alpha",
    "hue": "Hue", "saturation": "Saturation", "lightness": "Lightness", "cyan": "Cyan", "magenta": "Magenta",
    "yellow": "Yellow", "black": "Black", "Y": "YCbCr_Y", "Cb": "YCbCr_Cb", "Cr": "YCbCr_Cr", "pan": "Pan",
    "coastal": "Coastal", "rededge": "RedEdge", "nir": "NIR", "swir": "SWIR", "mwir": "MWIR", "lwir": "LWIR",
    "tir": "TIR", "other_ir": "OtherIR",
}  # fmt: skip


@dataclass(frozen=True)
class OutputHeader:
    """Everything of an output but its pixels."""

    width: int
    height: int
    dtype: str
    crs_wkt: str | None
    transform: tuple[float, float, float, float, float, float] | None
    gcps: tuple[Gcp, ...]
    bands: tuple[BandFacts, ...]
    nodata: float | None
    with_mask: bool
    palette: tuple[tuple[int, tuple[int, int, int, int]], ...]
    tags: tuple[tuple[str, str], ...]
    area_or_point: str
    rpcs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Placed:
    """A file, and where its pixels lie in the VRT, at the same resolution."""

    name: str
    col: int
    row: int
    width: int
    height: int
    block_side: int | None = None
    """Of a tile beside the VRT. Its size and type are written into the VRT, so that GDAL opens it only to read it; None
    for any other file."""


def vrt_text(header: OutputHeader, pixels: Path) -> str:
    """Return the VRT over a file of the same size and number of bands."""
    return "".join(vrt_parts(header, [Placed(str(pixels), 0, 0, header.width, header.height)]))


def vrt_parts(header: OutputHeader, sources: Sequence[Placed]) -> Iterator[str]:
    """Yield a VRT over files of the same bands in parts of a band each, since 10,000 tiles of many bands are large."""
    root = ET.Element("VRTDataset", rasterXSize=str(header.width), rasterYSize=str(header.height))
    _place(root, header)
    _metadata(root, (*header.tags, ("AREA_OR_POINT", header.area_or_point)))
    _metadata(root, header.rpcs, domain="RPC")
    yield ET.tostring(root, encoding="unicode").removesuffix(f"</{root.tag}>")
    for number, band in enumerate(header.bands, start=1):
        yield ET.tostring(_band(header, band, number, sources), encoding="unicode")
    if header.with_mask:
        parent = ET.Element("MaskBand")
        mask = ET.SubElement(parent, "VRTRasterBand", dataType="Byte")
        for source in sources:
            _simple_source(mask, source, "mask,1", "Byte")
        yield ET.tostring(parent, encoding="unicode")
    yield f"</{root.tag}>"


def _place(root: ET.Element, header: OutputHeader) -> None:
    if header.gcps:
        points = ET.SubElement(root, "GCPList", Projection=header.crs_wkt or "")
        for number, gcp in enumerate(header.gcps, start=1):
            place = {"Pixel": gcp.col, "Line": gcp.row, "X": gcp.x, "Y": gcp.y, "Z": gcp.z}
            ET.SubElement(points, "GCP", {"Id": str(number), **{key: repr(value) for key, value in place.items()}})
        return
    if header.crs_wkt:
        # Without an axis mapping GDAL takes x before y, which is how transforms are written here.
        ET.SubElement(root, "SRS").text = header.crs_wkt
    if header.transform:
        # GDAL's order of a geotransform, not affine's.
        a, b, c, d, e, f = header.transform
        ET.SubElement(root, "GeoTransform").text = ", ".join(repr(float(v)) for v in (c, a, b, f, d, e))


def _metadata(parent: ET.Element, tags: tuple[tuple[str, str], ...], **attributes: str) -> None:
    if tags:
        metadata = ET.SubElement(parent, "Metadata", attributes)
        for key, value in tags:
            ET.SubElement(metadata, "MDI", key=_NO_XML.sub("", key)).text = _NO_XML.sub("", value)


def _band(header: OutputHeader, band: BandFacts, number: int, sources: Sequence[Placed]) -> ET.Element:
    element = ET.Element("VRTRasterBand", dataType=GDAL_TYPES[header.dtype], band=str(number))
    _metadata(element, band.tags)
    if band.description:
        ET.SubElement(element, "Description").text = _NO_XML.sub("", band.description)
    if header.nodata is not None:
        # Integers without a decimal point, since GDAL reads 64-bit nodata as text and a float would round it.
        whole = not header.dtype.startswith("float") and float(header.nodata).is_integer()
        text = str(int(header.nodata)) if whole else repr(float(header.nodata))
        ET.SubElement(element, "NoDataValue").text = text
    if band.color in _COLORS:
        ET.SubElement(element, "ColorInterp").text = _COLORS[band.color]
    if band.color == "palette" and header.palette:
        table = ET.SubElement(element, "ColorTable")
        for _, color in header.palette:
            ET.SubElement(table, "Entry", {f"c{n}": str(v) for n, v in enumerate(color, start=1)})
    if band.unit:
        ET.SubElement(element, "UnitType").text = _NO_XML.sub("", band.unit)
    # Written out, the defaults would count as a scale that the band has.
    if (band.scale, band.offset) != (1.0, 0.0):
        ET.SubElement(element, "Offset").text = repr(band.offset)
        ET.SubElement(element, "Scale").text = repr(band.scale)
    for source in sources:
        _simple_source(element, source, str(number), GDAL_TYPES[header.dtype])
    return element


def _simple_source(parent: ET.Element, source: Placed, band: str, data_type: str) -> None:
    # A SimpleSource copies pixels; a ComplexSource would convert each through nodata and scale.
    element = ET.SubElement(parent, "SimpleSource")
    beside = source.block_side is not None
    ET.SubElement(element, "SourceFilename", relativeToVRT=str(int(beside))).text = source.name
    ET.SubElement(element, "SourceBand").text = band
    size = {"xSize": str(source.width), "ySize": str(source.height)}
    if beside:
        side = str(source.block_side)
        raster = {"RasterXSize": size["xSize"], "RasterYSize": size["ySize"], "DataType": data_type}
        ET.SubElement(element, "SourceProperties", {**raster, "BlockXSize": side, "BlockYSize": side})
    ET.SubElement(element, "SrcRect", {"xOff": "0", "yOff": "0", **size})
    ET.SubElement(element, "DstRect", {"xOff": str(source.col), "yOff": str(source.row), **size})
