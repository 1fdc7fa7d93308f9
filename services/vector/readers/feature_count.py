"""How many features a file has by its own header, index or bytes.

GDAL ends a stream silently where it cannot read on.
"""

from __future__ import annotations

import mmap
from functools import partial
from pathlib import Path

import numpy as np

from services.vector.formats import FLATGEOBUF, GEOPACKAGE, SHAPEFILE, Format
from services.vector.gdal import pyogrio
from services.vector.readers import geopackage
from services.vector.row_count import CountRows, RowCount, no_counts

_SHX_HEADER, _SHX_ENTRY = 100, 8
_DBF_HEADER = 32
_DELETED = ord("*")
_FGB_MAGIC, _FGB_SIZE = 8, 4


def counter_of(path: Path, file_format: Format, layer: str | None) -> CountRows:
    """Return what counts the rows of a file that GDAL reads, or of the layer of a GeoPackage."""
    if file_format is GEOPACKAGE and layer:
        return partial(geopackage.count_rows, path, layer)
    return {
        SHAPEFILE: partial(_count_shapefile, path),
        FLATGEOBUF: partial(_count_flatgeobuf, path),
    }.get(file_format, no_counts)


def _count_shapefile(shp: Path, rows: int) -> tuple[RowCount, ...]:
    """Count the records of the index, by its header and by its size, and those of the table.

    GDAL believes the header of the .shx: where that states fewer records than there are, the others are not read. A
    record that is marked as deleted in the table is none, in the .shx and in the .shp it stays.
    """
    del rows
    shx, dbf = shp.with_suffix(".shx"), shp.with_suffix(".dbf")
    with shx.open("rb") as file:
        # In 16-bit words, at byte 24 (ESRI's description of 1998).
        stated = 2 * int.from_bytes(file.read(_SHX_HEADER)[24:28], "big")
    with dbf.open("rb") as file:
        header = file.read(_DBF_HEADER)
    records = int.from_bytes(header[4:8], "little")
    start, length = int.from_bytes(header[8:10], "little"), int.from_bytes(header[10:12], "little")
    deleted = 0
    if records:
        marks = np.memmap(dbf, np.uint8, "r", offset=start)[::length][:records]
        deleted = int((marks == _DELETED).sum())
    return (
        RowCount((stated - _SHX_HEADER) // _SHX_ENTRY - deleted, "the header of the .shx file"),
        RowCount((shx.stat().st_size - _SHX_HEADER) // _SHX_ENTRY - deleted, "the size of the .shx file"),
        RowCount(records - deleted, "the header of the .dbf file"),
    )


def _count_flatgeobuf(path: Path, rows: int) -> tuple[RowCount, ...]:
    """Return what the header states, which a file that is cut off still has; else count the features by their sizes."""
    del rows
    stated = int(pyogrio.read_info(path)["features"])
    if stated > 0:
        return (RowCount(stated, "the header of the FlatGeobuf file"),)
    # A writer that did not know the number has left zero, which GDAL returns as -1. Such a file has no index, so that
    # the features follow the header, each behind its size: https://github.com/flatgeobuf/flatgeobuf#specification.
    number, size = 0, path.stat().st_size
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = _FGB_MAGIC + _FGB_SIZE + int.from_bytes(data[_FGB_MAGIC : _FGB_MAGIC + _FGB_SIZE], "little")
        while place < size:
            place += _FGB_SIZE + int.from_bytes(data[place : place + _FGB_SIZE], "little")
            number += 1
    return (RowCount(number, "the sizes of its features"),)
