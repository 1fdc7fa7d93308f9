"""GDAL with the drivers that rasters need, its settings for one task, and how a local raster is opened.

remote.py opens remote ones.
"""

from __future__ import annotations

import ctypes
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import rasterio
from rasterio.env import get_gdal_config
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import DatasetReader

from services.gdal import starting
from services.raster import errors
from services.references import check_crs

ALLOWED_DRIVERS = frozenset(("GTiff", "COG", "VRT", "MEM"))
"""GeoTIFFs are read, COGs written, and a VRT of our own stands between the two."""
_REFUSED_DRIVERS = (
    "AAIGrid", "ACE2", "ADRG", "AIG", "AVCBin", "AVCE00", "AirSAR", "BAG", "BIGGIF", "BLX", "BMP", "BSB", "BT", "BYN",
    "CALS", "CEOS", "COASP", "COSAR", "CPG", "CTG", "CTable2", "DAAS", "DERIVED", "DIMAP", "DIPEx", "DOQ1", "DOQ2",
    "DTED", "ECRGTOC", "EEDA", "EEDAI", "EHdr", "EIR", "ELAS", "ENVI", "ERS", "ESAT", "ESRI Shapefile", "ESRIC",
    "ESRIJSON", "FAST", "FIT", "GFF", "GIF", "GNMDatabase", "GNMFile", "GPKG", "GRASSASCIIGrid", "GRIB", "GS7BG",
    "GSAG", "GSBG", "GSC", "GTI", "GTX", "GXF", "GenBin", "GeoJSON", "GeoJSONSeq", "HDF5", "HDF5Image", "HF2", "HFA",
    "HTTP", "ILWIS", "IRIS", "ISCE", "ISG", "ISIS2", "ISIS3", "JAXAPALSAR", "JDEM", "JP2OpenJPEG", "JPEG",
    "KMLSUPEROVERLAY", "KRO", "L1B", "LAN", "LCP", "LOSLAS", "Leveller", "MAP", "MBTiles", "MFF", "MFF2", "MRF",
    "MSGN", "MVT", "Memory", "NDF", "NGSGEOID", "NITF", "NOAA_B", "NSIDCbin", "NTv2", "NWT_GRC", "NWT_GRD", "OSM",
    "OZI", "PAux", "PCIDSK", "PCRaster", "PDF", "PDS", "PDS4", "PLMOSAIC", "PNG", "PNM", "PRF", "R", "RIK", "RMF",
    "ROI_PAC", "RPFTOC", "RRASTER", "RS2", "RST", "Rasterlite", "S102", "S104", "S111", "SAFE", "SAGA", "SAR_CEOS",
    "SDTS", "SENTINEL2", "SGI", "SIGDEM", "SNAP_TIFF", "SNODAS", "SQLite", "SRP", "SRTMHGT", "STACIT", "STACTA", "TGA",
    "TIL", "TSX", "Terragen", "TopoJSON", "USGSDEM", "VICAR", "WCS", "WEBP", "WMS", "WMTS", "XPM", "XYZ", "ZMap",
    "Zarr", "netCDF",
)  # fmt: skip

# rasterio registers drivers when the first Env of the process begins, whoever begins it.
with starting(_REFUSED_DRIVERS), rasterio.Env() as _env:
    if not ALLOWED_DRIVERS.issuperset(_env.drivers()):
        raise ImportError(
            "GDAL has registered other drivers already: services.raster.source.gdal must be imported first."
        )

REFERRING_DOMAINS = ("OVERVIEWS", "xml:VRT", "MASK")
"""Of metadata. GDAL opens what OVERVIEW_FILE in the first of them names, with any driver, as soon as somebody asks for
overviews; the others name files in other formats and have no place in a GeoTIFF."""
CACHE_BYTES = 64_000_000
"""Of GDAL's block cache, in bytes, as rasterio passes it on. It holds the strips under a row of blocks, see
plan.needs_tiles."""
WRITE_CACHE_BYTES = 32_000_000
"""While a COG is written: pixels are read and written in order, and the driver's threads hold blocks of their own."""
_OPTIONS = {
    # No file beside the named one is looked for, read or written: no .ovr, .aux.xml, .msk or world file.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    # Otherwise a mask would be written into a .msk file beside the raster.
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    # The VRT from which a COG is made must not promise overviews that its source has and that will be made again.
    "VRT_VIRTUAL_OVERVIEWS": "NO",
}


@contextmanager
def gdal_environment(cache_bytes: int = CACHE_BYTES) -> Iterator[None]:
    """Set GDAL up within the block: small caches, and no files besides the named one."""
    with warnings.catch_warnings():
        # Whether a raster is georeferenced is decided in facts.py.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        # glibc keeps what each of GDAL's threads had in an arena of its own, and the process would grow step by step.
        # musl and macOS have no malloc_trim.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim:
            trim(0)
        with rasterio.Env(GDAL_CACHEMAX=cache_bytes, **_OPTIONS):
            yield


def threads() -> str:
    """Return the number of threads for (de)compression, as GDAL takes it; the deployment may set GDAL_NUM_THREADS."""
    return str(get_gdal_config("GDAL_NUM_THREADS") or "ALL_CPUS")


def check_references(label: str, dataset: DatasetReader) -> None:
    """Check that a raster names no other file, before its overviews and its mask are looked at: GDAL would open it.

    Raises
    ------
    PermanentError
        Its metadata or its CRS do. What is named is not looked at, so nothing can be learnt from the answer.
    """
    for domain in REFERRING_DOMAINS:
        if dataset.tags(ns=domain):
            raise errors.refers_elsewhere(label=label, domain=domain)
    for crs in (dataset.crs, dataset.gcps[1]):
        if crs:
            check_crs(crs.to_wkt(), label)


@contextmanager
def open_tiff(path: Path) -> Iterator[DatasetReader]:
    """Open a local file as a GeoTIFF and as nothing else: other drivers can refer to other files and hosts."""
    # With several threads GDAL reports a damaged block once, and then returns it from its cache as if it were whole.
    with rasterio.open(path, driver="GTiff", NUM_THREADS="1") as dataset:
        yield dataset
