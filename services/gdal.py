"""How GDAL is started: with the drivers that are named, and without a network.

pyogrio and rasterio each bring a GDAL of their own; services.vector.gdal and services.raster.source.gdal start them.
GDAL opens what a file names with whatever driver recognises it, so a driver more is a way more for a file to make
Geostage read other files or ask other hosts. Geostage reads blobs through the storage SDK and needs no network code of
GDAL.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

NO_NETWORK = {
    # /vsicurl, /vsis3, /vsiaz and the like open files of these extensions alone: no file has this one.
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".no-file-has-this-extension",
    # What asks a host by itself, such as a driver of a web service, goes to a proxy that is not there.
    "GDAL_HTTP_PROXY": "127.0.0.1:9",
    "GDAL_HTTPS_PROXY": "127.0.0.1:9",
    "GDAL_HTTP_CONNECTTIMEOUT": "1",
    "GDAL_HTTP_TIMEOUT": "1",
    "GDAL_HTTP_MAX_RETRY": "0",
    # Functions of SQL in a GeoPackage's views may read rasters otherwise.
    "OGR_SQLITE_ALLOW_EXTERNAL_ACCESS": "NO",
}
_WAYS_AROUND = ("no_proxy", "NO_PROXY")
"""libcurl asks a host that these name without the proxy."""


@contextmanager
def starting(refused: Iterable[str]) -> Iterator[None]:
    """Keep drivers from the GDAL that registers its drivers in the block, and the network from every GDAL afterwards.

    GDAL obeys GDAL_SKIP at that moment only, so it is taken back for the other GDAL. It takes these options from the
    environment in every thread; those that rasterio sets hold for the thread that sets them. putenv and unsetenv reach
    GDAL, which asks the C library, and leave os.environ alone, in which the storage SDK finds its own proxy.
    """
    for name, value in NO_NETWORK.items():
        os.putenv(name, value)
    for name in _WAYS_AROUND:
        os.unsetenv(name)
    os.putenv("GDAL_SKIP", ",".join(refused))
    try:
        yield
    finally:
        os.unsetenv("GDAL_SKIP")
