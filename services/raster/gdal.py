"""GDAL with the drivers that rasters need, its settings for one task, and how a raster is opened and judged as one."""

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
        raise ImportError("GDAL has registered other drivers already: services.raster.gdal must be imported first.")

REFERRING_DOMAINS = ("OVERVIEWS", "xml:VRT", "MASK")
"""Of metadata. GDAL opens what OVERVIEW_FILE in the first of them names, with any driver, as soon as somebody asks for
overviews; the others name files in other formats and have no place in a GeoTIFF."""
CACHE_BYTES = 64_000_000
"""GDAL's block cache: holds the strips that a row of blocks needs, see plan.needs_tiles. rasterio takes bytes."""
WRITE_CACHE_BYTES = 32_000_000
_OPTIONS = {
    # No file beside the one that was named is looked at, read or written.
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_TIFF_INTERNAL_MASK": "YES",
    "VRT_VIRTUAL_OVERVIEWS": "NO",
}


@contextmanager
def gdal_environment(cache_bytes: int = CACHE_BYTES) -> Iterator[None]:
    """Set GDAL up for the block: small caches, nothing but the named file."""
    with warnings.catch_warnings():
        # Whether a raster has a place is judged in facts.py.
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _give_back()
        with rasterio.Env(GDAL_CACHEMAX=cache_bytes, **_OPTIONS):
            yield


def _give_back() -> None:
    """Give freed memory back to the system: glibc keeps what each of GDAL's threads had, step by step, job by job."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


def threads() -> str:
    """Give the number of threads for (de)compression: GDAL_NUM_THREADS where the deployment sets it."""
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
            raise errors.refers_elsewhere(label, domain)
    for crs in (dataset.crs, dataset.gcps[1]):
        if crs:
            check_crs(crs.to_wkt(), label)


@contextmanager
def open_tiff(path: Path) -> Iterator[DatasetReader]:
    """Open a local file as GeoTIFF and as nothing else: other drivers can refer to other files and hosts."""
    # With threads of its own GDAL reports a damaged block once, and then gives it from its cache as if it were whole.
    with rasterio.open(path, driver="GTiff", NUM_THREADS="1") as dataset:
        yield dataset
