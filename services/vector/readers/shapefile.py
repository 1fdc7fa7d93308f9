"""Shapefiles by their parts: each is checked to be complete, because GDAL reads on without what is missing.

From a .shp that was cut off it returns rows without geometries, from an empty .dbf a layer without columns. Format:
ESRI's description of 1998 for .shp and .shx, dBASE III for .dbf.
"""

from __future__ import annotations

from pathlib import Path

from schema.errors import PermanentError

_MAGIC = b"\x00\x00\x27\x0a"
_HEADER = 100
_DBF_HEADER = 32
_REMEDY = "Check that the shapefile opens in QGIS, and upload all of its parts again."


def check_parts(shp: Path, name: str) -> None:
    """Check that .shp, .shx and .dbf have the length that their headers state.

    Raises PermanentError naming the part; `name` is the .shp as people know it.
    """
    for path in (shp, shp.with_suffix(".shx")):
        _check_length(path, f"{name[:-4]}{path.suffix}")
    _check_table(shp.with_suffix(".dbf"), f"{name[:-4]}.dbf")


def _check_length(path: Path, name: str) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        header = file.read(_HEADER)
    if not header:
        raise PermanentError(f"{name} is empty (0 bytes).", remediation=_REMEDY, code="file_empty")
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise _damaged(f"{name} does not begin with the header of a shapefile.")
    # The length of the file is at byte 24, in 16-bit words.
    stated = 2 * int.from_bytes(header[24:28], "big")
    if stated > size:
        raise _damaged(f"{name} was cut off: it has {size} bytes, but its header states {stated}.")


def _check_table(path: Path, name: str) -> None:
    with path.open("rb") as file:
        header = file.read(_DBF_HEADER)
    if not header:
        raise PermanentError(f"{name} is empty (0 bytes).", remediation=_REMEDY, code="file_empty")
    # dBASE III: number of records at byte 4, length of the header at 8, of a record at 10, all little-endian.
    start, length = int.from_bytes(header[8:10], "little"), int.from_bytes(header[10:12], "little")
    if len(header) < _DBF_HEADER or start <= _DBF_HEADER or not length:
        raise _damaged(f"{name} does not begin with the header of a dBASE table.")
    stated, size = start + length * int.from_bytes(header[4:8], "little"), path.stat().st_size
    if stated > size:
        raise _damaged(f"{name} was cut off: it has {size} bytes, but its records take {stated}.")


def _damaged(message: str) -> PermanentError:
    return PermanentError(message, remediation=_REMEDY, code="source_unreadable")
