"""GDAL, with the few drivers that Geostage needs. Import pyogrio, and all that is in it, from here only.

GDAL opens a file with whatever driver recognises it: a VRT named x.gpkg would make it read other files, or fetch
URLs. pyogrio registers drivers while it is imported, so this is the one place that imports it.
"""

from __future__ import annotations

import warnings

from services.gdal import starting

ALLOWED_DRIVERS = frozenset(("ESRI Shapefile", "GPKG", "FlatGeobuf", "MEM"))

_REFUSED_DRIVERS = (
    "ADBC", "AIVector", "AmigoCloud", "AVCBin", "AVCE00", "Carto", "CSV", "CSW", "DGN", "DXF", "EDIGEO", "EEDA",
    "Elasticsearch", "ESRIJSON", "GDALG", "GeoJSON", "GeoJSONSeq", "GeoRSS", "GML", "GPSBabel", "GPX", "GTFS", "HTTP",
    "Idrisi", "JML",
    "JSONFG", "KML", "LIBKML", "LVBAG", "MapInfo File", "MapML", "MBTiles", "MiraMonVector", "MVT", "NGW", "OAPIF",
    "ODS", "OGCAPI", "OGR_GMT", "OGR_PDS", "OGR_VRT", "OpenFileGDB", "OSM", "PCIDSK", "PDF", "PDS4", "PGDUMP",
    "PLSCENES", "PMTiles", "S57", "Selafin", "SQLite", "SXF", "TopoJSON", "VDV", "VFK", "VICAR", "WAsP", "WFS", "XLSX",
)  # fmt: skip

with starting(_REFUSED_DRIVERS):
    import pyogrio
    from pyogrio import _geometry
    from pyogrio.errors import DataLayerError, DataSourceError, GeometryError

pyogrio.set_gdal_config_options(
    {
        # A shapefile without its index is reported, not guessed at.
        "SHAPE_RESTORE_SHX": "NO",
        # The driver's own Arrow reader restarts its buffer at a null geometry, so that rows get others' geometries. The
        # general reader takes a tenth longer.
        "OGR_FLATGEOBUF_STREAM_BASE_IMPL": "YES",
    }
)

_Z, _M = 1_000, 2_000
_SURFACES = {15: "PolyhedralSurface", 16: "TIN", 17: "Triangle"}
# GDAL's number for "any type" has a high bit for Z, which is -2**31 where it is read as signed; all others follow ISO.
_ANY = {2**31: "Unknown Z", -(2**31): "Unknown Z", _M: "Measured Unknown", _Z + _M: "Measured 3D Unknown"}
# pyogrio raises GeometryError for a whole file, even to list its layers, when one layer is declared to hold such types.
# Rows are looked at one by one here, and nothing asks for the declared type, so any name will do.
_geometry.GEOMETRY_TYPES.update(
    _ANY | {code + flags: name for code, name in _SURFACES.items() for flags in (0, _Z, _M, _Z + _M)}
)
# Layers that are declared to hold M are read with it, whatever pyogrio says; a load drops and counts it.
warnings.filterwarnings("ignore", "Measured", UserWarning)

__all__ = ["ALLOWED_DRIVERS", "DataLayerError", "DataSourceError", "GeometryError", "pyogrio"]
