"""What a reader of outputs has, and Geostage has not: a GDAL with a network."""

from __future__ import annotations

NETWORK = {
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".tif,.vrt",
    "GDAL_HTTP_PROXY": "",
    "GDAL_HTTPS_PROXY": "",
    "GDAL_HTTP_CONNECTTIMEOUT": "10",
    "GDAL_HTTP_TIMEOUT": "60",
}
"""Options for rasterio.Env that take back what services.gdal has set, in a test that opens an output where it lies."""
