"""Shapefiles as their parts: each is checked to be whole, because GDAL reads on without what is missing.

A .shp that was cut off gives rows without geometries, a damaged .dbf a layer without columns. Format: ESRI's
description of 1998 for .shp and .shx, dBASE III for .dbf.
"""

from __future__ import annotations

from pathlib import Path

from schema.errors import PermanentError

_MAGIC = b"\x00\x00\x27\x0a"
_HEADER = 100
_LENGTH = slice(24, 28)
"""Of the file, in 16-bit words, big-endian."""
_DBF_HEADER = 32
_REMEDY = "Upload all parts of the shapefile anew, as they are where it opens in QGIS."


def check_parts(shp: Path, name: str) -> None:
    """Check that .shp, .shx and .dbf are as long as they say. `name` is the .shp as people know it.

    Raises PermanentError naming the part.
    """
    for path in (shp, shp.with_suffix(".shx")):
        _check_length(path, f"{name[:-4]}{path.suffix}")
    _check_table(shp.with_suffix(".dbf"), f"{name[:-4]}.dbf")


def _check_length(path: Path, name: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if not header:
        raise PermanentError(f"{name} is empty: it has no bytes.", remediation=_REMEDY, code="file_empty")
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise _damaged(f"{name} does not begin as a part of a shapefile does.")
    stated = 2 * int.from_bytes(header[_LENGTH], "big")
    if stated > size:
        raise _damaged(f"{name} was cut off: it has {size} of the {stated} bytes that it says it has.")


def _check_table(path: Path, name: str) -> None:
    with path.open("rb") as file:
        header = file.read(_DBF_HEADER)
    if not header:
        raise PermanentError(f"{name} is empty: it has no bytes.", remediation=_REMEDY, code="file_empty")
    start, length = int.from_bytes(header[8:10], "little"), int.from_bytes(header[10:12], "little")
    if len(header) < _DBF_HEADER or start <= _DBF_HEADER or not length:
        raise _damaged(f"{name} does not begin as the table of a shapefile does.")
    stated, size = start + length * int.from_bytes(header[4:8], "little"), path.stat().st_size
    if stated > size:
        raise _damaged(f"{name} was cut off: it has {size} of the {stated} bytes that its records take.")


def _damaged(message: str) -> PermanentError:
    return PermanentError(message, remediation=_REMEDY, code="source_unreadable")
