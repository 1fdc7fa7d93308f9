"""How many features a file itself says that it has: GDAL ends a stream without a word where it cannot read on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from schema.errors import PermanentError
from schema.words import clip
from services.vector.formats import FLATGEOBUF, GEOPACKAGE, SHAPEFILE, Format
from services.vector.gdal import pyogrio
from services.vector.origin import Origin
from services.vector.readers import geopackage
from services.vector.readers.source_layer import SourceBatch

_SHX_HEADER, _SHX_ENTRY = 100, 8
_DELETED = ord("*")


def checked(path: Path, known: Format, origin: Origin, batches: Iterator[SourceBatch]) -> Iterator[SourceBatch]:
    """Give all batches of a layer, and check at their end that no feature is missing. Raises PermanentError.

    A GeoPackage's pages are checked before: what they lost is missing in any count.
    """
    if known is GEOPACKAGE and origin.layer:
        geopackage.check_sound(path, origin.layer)
    rows = 0
    for batch in batches:
        rows += len(batch.fids)
        yield batch
    expected = count(path, known, origin.layer)
    if expected is not None and rows != expected:
        raise PermanentError(
            f"The file says that layer {clip(origin.name)!r} has {expected} features, but only {rows} can be read: "
            "it is cut off or damaged.",
            remediation="Check that the file opens in QGIS, write it again, and upload it anew.",
            code="source_unreadable",
        )


def count(path: Path, known: Format, layer: str | None) -> int | None:
    """Count the features by the file's own header or index; None when there is none that says it."""
    if known is SHAPEFILE:
        return _count_records(path.with_suffix(".shx")) - _count_deleted(path.with_suffix(".dbf"))
    if known is GEOPACKAGE and layer:
        return geopackage.count_rows(path, layer)
    if known is FLATGEOBUF:
        # Its header; a writer that did not know the number then has left zero, which GDAL gives as -1.
        stated = int(pyogrio.read_info(path)["features"])
        return stated if stated > 0 else None
    return None


def _count_records(shx: Path) -> int:
    """Read the number of records in a shapefile's index (ESRI's description: length at byte 24, in 16-bit words)."""
    with shx.open("rb") as file:
        header = file.read(_SHX_HEADER)
    return (2 * int.from_bytes(header[24:28], "big") - _SHX_HEADER) // _SHX_ENTRY


def _count_deleted(dbf: Path) -> int:
    """Count the records whose first byte marks them as deleted."""
    with dbf.open("rb") as file:
        header = file.read(32)
    records, start = int.from_bytes(header[4:8], "little"), int.from_bytes(header[8:10], "little")
    length = int.from_bytes(header[10:12], "little")
    if not length or dbf.stat().st_size <= start:
        return 0
    marks = np.memmap(dbf, np.uint8, "r", offset=start)[::length][:records]
    return int((marks == _DELETED).sum())
