"""What files are that a job type does not read: by their names and first bytes, with the next step for each.

A message that only lists the supported extensions leaves people who have an .xlsx or a .gdb.zip where they were.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileKind:
    """A kind of file, and what to do with one."""

    what: str
    """As it stands in a sentence: "a JPEG 2000 image"."""
    remedy: str


_TO_TIFF = "Convert it to GeoTIFF (gdal_translate -of GTiff {0} out.tif), and submit that with process_raster."
_TO_GPKG = "Convert it to GeoPackage (ogr2ogr out.gpkg {0}), and submit that with process_vector."
_TO_CSV = "Save the sheet as CSV (in Excel: CSV UTF-8), and submit that with process_vector."
_UNPACK = "Unpack it, and upload its files in a .zip archive."
_RASTER = "Submit it with process_raster, or with process_large_raster if it is large."
_VECTOR = "Submit it with process_vector."
_MAIN_FILE = "Name the {0} in resource_id, with this file beside it, or upload all parts in a .zip archive."

GEOTIFF = FileKind("a GeoTIFF", _RASTER)
_EXCEL = FileKind("an Excel workbook", _TO_CSV)
_GEODATABASE = FileKind("an Esri file geodatabase", _TO_GPKG)
_PART = FileKind("a part of a shapefile", _MAIN_FILE.format(".shp"))
_SIDECAR = FileKind("a sidecar of a raster", "Name the raster itself (.tif) in resource_id, and submit process_raster.")
_NETCDF = FileKind("a NetCDF file", _TO_TIFF.replace("{0}", "NETCDF:{0}:VARIABLE"))
_HDF = FileKind("an HDF5 or NetCDF file", _TO_TIFF)
_JPEG2000 = FileKind("a JPEG 2000 image", _TO_TIFF)
_GRIB = FileKind("a GRIB file", _TO_TIFF)
_PNG, _JPEG = FileKind("a PNG image", _TO_TIFF), FileKind("a JPEG image", _TO_TIFF)
_VRT = FileKind("a GDAL virtual raster (VRT)", _TO_TIFF)
_PACKED = FileKind("a compressed archive that is not .zip", _UNPACK)
_PROJECT = FileKind("a project file, which has no data", "Upload the files that it shows instead.")

_BY_SUFFIX = {
    (".gdb.zip", ".gdb", ".gdbtable"): _GEODATABASE,
    (".mdb", ".accdb"): FileKind("an Access database", _TO_GPKG),
    (".xlsx", ".xls", ".xlsm", ".xlsb"): _EXCEL,
    (".ods",): FileKind("an OpenDocument spreadsheet", _TO_CSV),
    (".tif.aux.xml", ".aux.xml", ".tfw", ".tifw", ".tiffw", ".ovr", ".msk"): _SIDECAR,
    (".tif", ".tiff", ".gtiff", ".geotiff"): GEOTIFF,
    (".nc", ".nc4", ".cdf"): _NETCDF,
    (".h5", ".hdf5", ".he5", ".hdf", ".hdf4"): FileKind("an HDF file", _TO_TIFF),
    (".jp2", ".j2k", ".jpx"): _JPEG2000,
    (".grib", ".grib2", ".grb", ".grb2"): _GRIB,
    (".png",): _PNG,
    (".jpg", ".jpeg"): _JPEG,
    (".vrt",): _VRT,
    (".ecw", ".sid", ".img", ".asc", ".bil", ".dem", ".hgt", ".dt2", ".adf", ".gif", ".bmp", ".webp"): FileKind(
        "a raster that is not a GeoTIFF", _TO_TIFF
    ),
    (".zarr",): FileKind("a Zarr store", _TO_TIFF),
    (".las", ".laz", ".copc"): FileKind(
        "a point cloud", "Make a raster of it (with PDAL's writers.gdal), and submit that with process_raster."
    ),
    (".gml", ".gpx", ".dxf", ".dgn", ".tab", ".mif", ".mid", ".osm", ".pbf", ".topojson", ".sqlite", ".db", ".e00"): (
        FileKind("a vector file in a format that is not read", _TO_GPKG)
    ),
    (".dwg",): FileKind("an AutoCAD drawing", "Save it as DXF, convert that to GeoPackage, and submit process_vector."),
    (".mbtiles", ".pmtiles"): FileKind("an archive of map tiles", "Upload the data that the tiles were made from."),
    (".shx", ".dbf", ".prj", ".cpg", ".cst", ".sbn", ".sbx", ".qix", ".shp.xml"): _PART,
    (".txt", ".dat", ".asc.txt"): FileKind("a text file", "If it is a table, give it the extension .csv."),
    (".7z", ".rar", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".zst"): _PACKED,
    (".qgz", ".qgs", ".mxd", ".aprx", ".lyr", ".lyrx", ".qlr", ".sld", ".qml"): _PROJECT,
    (".gpkg",): FileKind("a GeoPackage", _VECTOR),
    (".shp",): FileKind("a shapefile", _VECTOR),
    (".geojson", ".json", ".geojsonl", ".ndjson"): FileKind("GeoJSON", _VECTOR),
    (".kml", ".kmz"): FileKind("KML", _VECTOR),
    (".csv", ".tsv"): FileKind("a table of text", _VECTOR),
    (".fgb",): FileKind("a FlatGeobuf file", _VECTOR),
    (".parquet", ".geoparquet"): FileKind("a Parquet file", _VECTOR),
}
_SUFFIXES = {suffix: kind for suffixes, kind in _BY_SUFFIX.items() for suffix in suffixes}

_BY_MAGIC: tuple[tuple[bytes, FileKind], ...] = (
    (b"II*\0", GEOTIFF), (b"MM\0*", GEOTIFF), (b"II+\0", GEOTIFF), (b"MM\0+", GEOTIFF),
    (b"<VRTDataset", _VRT),
    (b"\x89PNG", _PNG),
    (b"\xff\xd8\xff", _JPEG),
    (b"\0\0\0\x0cjP", _JPEG2000), (b"\xff\x4f\xff\x51", _JPEG2000),
    (b"\x89HDF", _HDF), (b"\x0e\x03\x13\x01", FileKind("an HDF4 file", _TO_TIFF)), (b"CDF", _NETCDF),
    (b"GRIB", _GRIB),
    (b"PK\x03\x04\x14\0\x06\0", _EXCEL),
    (b"PK\x03\x04", FileKind("a ZIP archive", "If layers are in it, submit it with process_vector; unpack rasters.")),
    (b"\xd0\xcf\x11\xe0", _EXCEL),
    (b"SQLite format 3", FileKind("a GeoPackage", _VECTOR)),
    (b"fgb\x03", FileKind("a FlatGeobuf file", _VECTOR)),
    (b"PAR1", FileKind("a Parquet file", _VECTOR)),
    (b"\0\0\x27\x0a", FileKind("a shapefile", _VECTOR)),
    (b"\x1f\x8b", _PACKED), (b"7z\xbc\xaf", _PACKED), (b"Rar!", _PACKED), (b"BZh", _PACKED),
    (b"%PDF", FileKind("a PDF document", "Upload the data that it shows instead.")),
    (b"LASF", FileKind("a point cloud", "Make a raster of it (with PDAL's writers.gdal), and submit that.")),
    (b"<!DOCTYPE html", FileKind("a web page", "Download the file itself, not the page about it, and upload that.")),
    (b"<html", FileKind("a web page", "Download the file itself, not the page about it, and upload that.")),
    (b"<", FileKind("XML or HTML", "If it is KML, give it the extension .kml, and submit it with process_vector.")),
    (b"{", FileKind("JSON", "If it is GeoJSON, give it the extension .geojson, and submit it with process_vector.")),
)  # fmt: skip
"""In this order: "<" begins a VRT too. Excel writes a zip archive with the flags of OOXML."""


def kind_of_name(name: str) -> FileKind | None:
    """Return what a file is by its name; the longest of the known endings counts."""
    parts = name.lower().rpartition("/")[2].split(".")
    endings = ("." + ".".join(parts[place:]) for place in range(1, len(parts)))
    return next((_named(_SUFFIXES[ending], name) for ending in endings if ending in _SUFFIXES), None)


def kind_of_bytes(head: bytes, name: str) -> FileKind | None:
    """Return what a file is by its first bytes; its name stands in the remedy."""
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    found = (kind for magic, kind in _BY_MAGIC if head.startswith(magic) or text.startswith(magic))
    return next((_named(kind, name) for kind in found), None)


def _named(kind: FileKind, name: str) -> FileKind:
    return FileKind(kind.what, kind.remedy.replace("{0}", name.rpartition("/")[2]))
