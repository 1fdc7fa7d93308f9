"""Whether every feature of a file was read: GDAL ends a stream without a word where it cannot read on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from schema.clipping import clip
from schema.errors import PermanentError
from services.vector.formats import FLATGEOBUF, GEOJSON, GEOJSONSEQ, GEOPACKAGE, SHAPEFILE, Format
from services.vector.gdal import pyogrio
from services.vector.origin import Origin
from services.vector.readers import geopackage
from services.vector.readers.geojson import features as geojson_features
from services.vector.readers.geojson import sequence as geojson_sequence
from services.vector.readers.source_layer import SourceBatch

_SHX_HEADER, _SHX_ENTRY = 100, 8
_DELETED = ord("*")


def checked(
    path: Path, origin: Origin, batches: Iterator[SourceBatch], check: Callable[[], None]
) -> Iterator[SourceBatch]:
    """Yield all batches of a layer, and check at their end that no feature of the file is missing.

    Raises PermanentError.
    """
    if origin.file_format is GEOPACKAGE and origin.layer:
        # Before the rows: what the pages have lost is missing in any count.
        geopackage.check_sound(path, origin.layer)
    rows = 0
    for batch in batches:
        rows += len(batch.fids)
        yield batch
    if origin.file_format is GEOJSON:
        geojson_features.check_count(path, rows, check)
    elif origin.file_format is GEOJSONSEQ:
        geojson_sequence.check_count(path, rows)
    elif (stated := stated_count(path, origin.file_format, origin.layer)) not in (None, rows):
        raise PermanentError(
            f"The file states that layer {clip(origin.name)!r} has {stated} features, but only {rows} can be read: "
            "it is damaged or cut off.",
            remediation="Check that the file opens in QGIS, write it to a new file there, and upload that.",
            code="source_unreadable",
        )


def stated_count(path: Path, file_format: Format, layer: str | None) -> int | None:
    """Return the number of features by the file's own header or index; None when it has none that tells."""
    if file_format is SHAPEFILE:
        # The length of the index, in 16-bit words, is at byte 24 (ESRI's description of 1998).
        with path.with_suffix(".shx").open("rb") as file:
            header = file.read(_SHX_HEADER)
        records = (2 * int.from_bytes(header[24:28], "big") - _SHX_HEADER) // _SHX_ENTRY
        dbf = path.with_suffix(".dbf")
        with dbf.open("rb") as file:
            header = file.read(32)
        start, length = int.from_bytes(header[8:10], "little"), int.from_bytes(header[10:12], "little")
        if not length or dbf.stat().st_size <= start:
            return records
        # GDAL leaves out records that are marked as deleted.
        marks = np.memmap(dbf, np.uint8, "r", offset=start)[::length][: int.from_bytes(header[4:8], "little")]
        return records - int((marks == _DELETED).sum())
    if file_format is GEOPACKAGE and layer:
        return geopackage.count_rows(path, layer)
    if file_format is FLATGEOBUF:
        # A file that is cut off still has its header. A writer that did not know the number has left zero, which GDAL
        # returns as -1.
        stated = int(pyogrio.read_info(path)["features"])
        return stated if stated > 0 else None
    return None
