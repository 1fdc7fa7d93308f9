"""A VRT of our own over the pixels of one file: it bears all that is set before the COG is written. Pure.

Data type, nodata, mask, colours, scale and offset, names, metadata, CRS and place stand in it, so that the COG is
written once, in order; stamped on afterwards they would break its layout.
Format: https://gdal.org/en/stable/drivers/raster/vrt.html
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from services.raster.facts import GDAL_TYPES, BandFacts, Gcp

_NO_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
"""Characters that tags may hold and XML may not."""
_COLORS = {
    "gray": "Gray", "palette": "Palette", "red": "Red", "green": "Green", "blue": "Blue", "alpha": "Alpha",
    "hue": "Hue", "saturation": "Saturation", "lightness": "Lightness", "cyan": "Cyan", "magenta": "Magenta",
    "yellow": "Yellow", "black": "Black", "Y": "YCbCr_Y", "Cb": "YCbCr_Cb", "Cr": "YCbCr_Cr", "pan": "Pan",
    "coastal": "Coastal", "rededge": "RedEdge", "nir": "NIR", "swir": "SWIR", "mwir": "MWIR", "lwir": "LWIR",
    "tir": "TIR", "other_ir": "OtherIR",
}  # fmt: skip


@dataclass(frozen=True)
class OutputHeader:
    """All of an output but its pixels."""

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


def vrt_text(header: OutputHeader, pixels: Path) -> str:
    """Write the VRT over a file of the same size and number of bands."""
    root = ET.Element("VRTDataset", rasterXSize=str(header.width), rasterYSize=str(header.height))
    _place(root, header)
    _metadata(root, (*header.tags, ("AREA_OR_POINT", header.area_or_point)))
    for number, band in enumerate(header.bands, start=1):
        _band(root, header, band, number, pixels)
    if header.with_mask:
        mask = ET.SubElement(ET.SubElement(root, "MaskBand"), "VRTRasterBand", dataType="Byte")
        _simple_source(mask, header, pixels, "mask,1")
    return ET.tostring(root, encoding="unicode")


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
        a, b, c, d, e, f = header.transform
        ET.SubElement(root, "GeoTransform").text = ", ".join(repr(float(v)) for v in (c, a, b, f, d, e))


def _metadata(parent: ET.Element, tags: tuple[tuple[str, str], ...]) -> None:
    if tags:
        metadata = ET.SubElement(parent, "Metadata")
        for key, value in tags:
            ET.SubElement(metadata, "MDI", key=_NO_XML.sub("", key)).text = _NO_XML.sub("", value)


def _band(root: ET.Element, header: OutputHeader, band: BandFacts, number: int, pixels: Path) -> None:
    element = ET.SubElement(root, "VRTRasterBand", dataType=GDAL_TYPES[header.dtype], band=str(number))
    _metadata(element, band.tags)
    if band.description:
        ET.SubElement(element, "Description").text = _NO_XML.sub("", band.description)
    if header.nodata is not None:
        ET.SubElement(element, "NoDataValue").text = _number(header.nodata, header.dtype)
    if band.color in _COLORS:
        ET.SubElement(element, "ColorInterp").text = _COLORS[band.color]
    if band.color == "palette" and header.palette:
        table = ET.SubElement(element, "ColorTable")
        for _, color in header.palette:
            ET.SubElement(table, "Entry", {f"c{n}": str(v) for n, v in enumerate(color, start=1)})
    if band.unit:
        ET.SubElement(element, "UnitType").text = _NO_XML.sub("", band.unit)
    if (band.scale, band.offset) != (1.0, 0.0):
        ET.SubElement(element, "Offset").text = repr(band.offset)
        ET.SubElement(element, "Scale").text = repr(band.scale)
    _simple_source(element, header, pixels, str(number))


def _simple_source(parent: ET.Element, header: OutputHeader, pixels: Path, band: str) -> None:
    source = ET.SubElement(parent, "SimpleSource")
    ET.SubElement(source, "SourceFilename", relativeToVRT="0").text = str(pixels)
    ET.SubElement(source, "SourceBand").text = band
    for name in ("SrcRect", "DstRect"):
        ET.SubElement(source, name, xOff="0", yOff="0", xSize=str(header.width), ySize=str(header.height))


def _number(value: float, dtype: str) -> str:
    if math.isnan(value):
        return "nan"
    return str(int(value)) if not dtype.startswith("float") and float(value).is_integer() else repr(float(value))
