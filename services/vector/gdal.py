"""GDAL, with the few drivers that Geostage needs. Import pyogrio, and all that is in it, from here only.

GDAL opens a file with whatever driver recognises it: a VRT named x.geojson would make it read other files, or fetch
URLs. pyogrio registers drivers while it is imported, so this is the one place that imports it.
"""

from __future__ import annotations

from services.gdal import starting

ALLOWED_DRIVERS = frozenset(("ESRI Shapefile", "GPKG", "GeoJSON", "GeoJSONSeq", "FlatGeobuf", "MEM"))

_REFUSED_DRIVERS = (
    "ADBC", "AIVector", "AmigoCloud", "AVCBin", "AVCE00", "Carto", "CSV", "CSW", "DGN", "DXF", "EDIGEO", "EEDA",
    "Elasticsearch", "ESRIJSON", "GDALG", "GeoRSS", "GML", "GPSBabel", "GPX", "GTFS", "HTTP", "Idrisi", "JML",
    "JSONFG", "KML", "LIBKML", "LVBAG", "MapInfo File", "MapML", "MBTiles", "MiraMonVector", "MVT", "NGW", "OAPIF",
    "ODS", "OGCAPI", "OGR_GMT", "OGR_PDS", "OGR_VRT", "OpenFileGDB", "OSM", "PCIDSK", "PDF", "PDS4", "PGDUMP",
    "PLSCENES", "PMTiles", "S57", "Selafin", "SQLite", "SXF", "TopoJSON", "VDV", "VFK", "VICAR", "WAsP", "WFS", "XLSX",
)  # fmt: skip

with starting(_REFUSED_DRIVERS):
    import pyogrio
    from pyogrio.errors import DataLayerError, DataSourceError, GeometryError

pyogrio.set_gdal_config_options(
    {
        # No limit on the size of one GeoJSON feature: a polygon of 60 MB is a valid one.
        "OGR_GEOJSON_MAX_OBJ_SIZE": "0",
        # A shapefile without its index is reported, not guessed at.
        "SHAPE_RESTORE_SHX": "NO",
        # The driver's own Arrow reader restarts its buffer at a null geometry, so that rows get others' geometries. The
        # general reader takes a tenth longer.
        "OGR_FLATGEOBUF_STREAM_BASE_IMPL": "YES",
    }
)

__all__ = ["ALLOWED_DRIVERS", "DataLayerError", "DataSourceError", "GeometryError", "pyogrio"]
