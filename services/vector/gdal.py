"""GDAL, with the few drivers that Geostage needs. Import pyogrio, and all that is in it, from here only.

GDAL opens a file with whatever driver recognises it: a VRT named x.geojson would make it read other files, or fetch
URLs. GDAL_SKIP is obeyed only while the library is loaded, so it is set here, around the one import of pyogrio, and
taken back at once: rasterio brings a GDAL of its own.
"""

from __future__ import annotations

import os

ALLOWED_DRIVERS = frozenset(("ESRI Shapefile", "GPKG", "GeoJSON", "GeoJSONSeq", "FlatGeobuf", "MEM"))

_REFUSED_DRIVERS = (
    "ADBC", "AIVector", "AmigoCloud", "AVCBin", "AVCE00", "Carto", "CSV", "CSW", "DGN", "DXF", "EDIGEO", "EEDA",
    "Elasticsearch", "ESRIJSON", "GDALG", "GeoRSS", "GML", "GPSBabel", "GPX", "GTFS", "HTTP", "Idrisi", "JML",
    "JSONFG", "KML", "LIBKML", "LVBAG", "MapInfo File", "MapML", "MBTiles", "MiraMonVector", "MVT", "NGW", "OAPIF",
    "ODS", "OGCAPI", "OGR_GMT", "OGR_PDS", "OGR_VRT", "OpenFileGDB", "OSM", "PCIDSK", "PDF", "PDS4", "PGDUMP",
    "PLSCENES", "PMTiles", "S57", "Selafin", "SQLite", "SXF", "TopoJSON", "VDV", "VFK", "VICAR", "WAsP", "WFS", "XLSX",
)  # fmt: skip

# putenv reaches GDAL, which asks the C library, and leaves os.environ alone.
os.putenv("GDAL_SKIP", ",".join(_REFUSED_DRIVERS))
try:
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError, GeometryError
finally:
    os.unsetenv("GDAL_SKIP")

pyogrio.set_gdal_config_options(
    {
        # No limit on the size of one GeoJSON feature: a polygon of 60 MB is a valid one.
        "OGR_GEOJSON_MAX_OBJ_SIZE": "0",
        # A shapefile without its index is reported, not guessed at.
        "SHAPE_RESTORE_SHX": "NO",
        # The driver's own way to Arrow begins anew at a null geometry, and rows before it get the ones after it.
        "OGR_FLATGEOBUF_STREAM_BASE_IMPL": "YES",
    }
)

__all__ = ["ALLOWED_DRIVERS", "DataLayerError", "DataSourceError", "GeometryError", "pyogrio"]
