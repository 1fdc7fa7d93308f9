"""Definitions of CRSs as they stand in a file, read without GDAL, which opens the grids of a CRS to describe it."""

from __future__ import annotations

from pathlib import Path

from services.references import check_crs
from services.vector.formats import FLATGEOBUF, GEOPACKAGE, SHAPEFILE, Format
from services.vector.readers import geopackage

_MAGIC_BYTES = 8
_LENGTH_BYTES = 4
_MAX_HEADER_BYTES = 2**20


def check_definitions(path: Path, known: Format, name: str) -> None:
    """Check that no CRS in a file names another file by its place. `name` is the file as people know it.

    Raises PermanentError (external_reference).
    """
    if known is SHAPEFILE:
        prj = path.with_suffix(".prj")
        check_crs(prj.read_bytes().decode(errors="replace") if prj.exists() else "", name)
    elif known is FLATGEOBUF:
        check_crs(_flatgeobuf_header(path), name)
    elif known is GEOPACKAGE:
        for definition in geopackage.crs_definitions(path):
            check_crs(definition, name)


def _flatgeobuf_header(path: Path) -> str:
    """Return the header, in which texts stand as they are: https://github.com/flatgeobuf/flatgeobuf#specification."""
    with path.open("rb") as file:
        file.seek(_MAGIC_BYTES)
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        return file.read(min(length, _MAX_HEADER_BYTES)).decode(errors="replace")
