"""Layers, read by GDAL as streams of Arrow batches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schema.errors import PermanentError
from schema.words import clip
from services.vector.chunks import Chunk
from services.vector.formats import FLATGEOBUF, GEOJSON, GEOJSONSEQ, GEOPACKAGE, Format
from services.vector.gdal import DataLayerError, DataSourceError, GeometryError, pyogrio
from services.vector.geometry import curves, wkb
from services.vector.geometry.crs import Bounds
from services.vector.geometry.wkb import Integers
from services.vector.readers import geopackage
from services.vector.readers.encodings import Encoding
from services.vector.readers.source_layer import SourceBatch, SourceLayer

MAX_BATCH_ROWS = 5_000
BATCH_BYTES = 16 * 2**20
_SAMPLE_BYTES = 4 * 2**20
_OF_SQLITE = re.compile(r"sqlite3_|malformed|disk image|disk I/O")
"""How GDAL tells of a damaged GeoPackage, among the statements that failed."""


@dataclass(frozen=True)
class _Shape:
    """Where the parts of a batch stand in the stream's schema."""

    fid: int | None
    geometry: int
    fields: tuple[int, ...]


@contextmanager
def open_layer(
    path: Path,
    known: Format,
    label: str,
    *,
    name: str | None = None,
    chunk: Chunk | None = None,
    geometry_only: bool = False,
    encoding: Encoding | None = None,
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a layer for one pass over its rows, or over those of a chunk. Raises PermanentError when GDAL cannot.

    `label` is the layer as people know it.
    With `geometry_only` the batches have no attributes, and the layer names no fields.
    """
    with ExitStack() as stack:
        with _readable(path, label):
            # GeoJSON would be parsed once more from front to back for what this says.
            streamed = known in (GEOJSON, GEOJSONSEQ)
            info = {} if streamed else pyogrio.read_info(path, layer=name or list_layers(path, label)[0])
            opened = _open(path, known, info, chunk, geometry_only=geometry_only, encoding=encoding)
            meta, reader = stack.enter_context(opened)
            shape = _shape_of(reader.schema, meta)
        fields = tuple((reader.schema.names[i], reader.schema.types[i]) for i in shape.fields)
        layer = SourceLayer(info.get("layer_name", path.stem), meta["crs"], fields, _bounds_of(info))
        batches = _batches(path, label, reader, shape, chunk)
        yield layer, (_without_curves(path, label, layer, known, batch) for batch in batches)


def _open(
    path: Path,
    known: Format,
    info: dict[str, Any],
    chunk: Chunk | None,
    *,
    geometry_only: bool,
    encoding: Encoding | None,
) -> AbstractContextManager[tuple[dict[str, Any], pa.RecordBatchReader]]:
    options: dict[str, Any] = {"IMMUTABLE": "YES"} if known is GEOPACKAGE else {}
    if chunk and known is GEOPACKAGE and info["fid_column"]:
        fid = info["fid_column"].replace('"', '""')
        options["where"] = f'"{fid}" >= {chunk.first_fid} AND "{fid}" <= {chunk.last_fid}'
    elif chunk:
        # A shapefile's rows are found by the number of the record, which deleted ones count in.
        options["skip_features"] = chunk.first_row - 1 if known is GEOPACKAGE else chunk.first_fid
    rows = _batch_rows(path, info)
    return pyogrio.open_arrow(  # type: ignore[no-any-return]
        path,
        layer=info.get("layer_name"),
        encoding=encoding.name.upper() if encoding else None,
        columns=[] if geometry_only else None,
        return_fids=True,
        batch_size=min(rows, chunk.rows) if chunk else rows,
        use_pyarrow=True,
        **options,
    )


def list_layers(path: Path, label: str) -> list[str]:
    """Name the layers with geometries. Raises PermanentError when there are none."""
    with _readable(path, label):
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if not layers:
        raise PermanentError(
            f"{clip(label)} has no layer with geometries.",
            remediation="Check in QGIS that the file holds a spatial layer, and upload it anew.",
            code="no_layer",
        )
    return layers


def _batch_rows(path: Path, info: dict[str, Any]) -> int:
    """Choose the rows of a batch so that it stays near 16 MB, by the average size of a feature in the file."""
    if info:
        size = path.stat().st_size / max(info["features"], 1)
    else:
        with path.open("rb") as file:
            sample = file.read(_SAMPLE_BYTES)
        size = len(sample) / max(sample.count(b'"geometry"'), 1)
    return max(1, min(MAX_BATCH_ROWS, int(BATCH_BYTES / max(size, 1))))


def _bounds_of(info: dict[str, Any]) -> Bounds | None:
    bounds = info.get("total_bounds")
    if bounds is None or not np.isfinite(bounds).all():
        return None
    west, south, east, north = (float(edge) for edge in bounds)
    return (west, south, east, north)


def _shape_of(schema: pa.Schema, meta: dict[str, Any]) -> _Shape:
    geometry = schema.get_field_index(meta["geometry_name"] or "wkb_geometry")
    if geometry < 0:
        raise PermanentError(
            "The layer has no geometries.", remediation="Upload a file with geometries.", code="no_geometry"
        )
    # The driver's number comes first; fields may bear the same name.
    fid = 0 if schema.names[0] == (meta["fid_column"] or "OGC_FID") else None
    return _Shape(fid, geometry, tuple(i for i in range(len(schema)) if i not in (fid, geometry)))


def _batches(
    path: Path, label: str, reader: pa.RecordBatchReader, shape: _Shape, chunk: Chunk | None
) -> Iterator[SourceBatch]:
    seen, left = 0, chunk.rows if chunk else None
    while True:
        with _readable(path, label):
            batch = next(iter(reader), None)
        if batch is None:
            return
        rows = batch if left is None else batch.slice(0, left)
        fids = np.arange(seen, seen + rows.num_rows) if shape.fid is None else rows.column(shape.fid).to_numpy()
        seen += rows.num_rows
        geometry = rows.column(shape.geometry)
        yield SourceBatch(fids, rows.select(list(shape.fields)), geometry, wkb.read_headers(geometry).kinds)
        if left is not None:
            left -= rows.num_rows
            if not left:
                return


def _without_curves(path: Path, label: str, layer: SourceLayer, known: Format, batch: SourceBatch) -> SourceBatch:
    """Turn curves into lines of short steps (4 degrees, GDAL's and ogr2ogr's default)."""
    curved = (batch.type_codes >= wkb.FIRST_CURVE) & (batch.type_codes <= wkb.LAST_CURVE)
    if not curved.any():
        return batch
    with _readable(path, label):
        if known is FLATGEOBUF:
            # It has no way to a row but through all rows before it.
            lines = curves.linearise(batch.geometry.filter(pa.array(curved)))
        else:
            lines = _read_again(path, layer, batch.fids[curved], batch.geometry.type)
    return replace(batch, geometry=pc.replace_with_mask(batch.geometry, pa.array(curved), lines))


def _read_again(path: Path, layer: SourceLayer, fids: Integers, kind: pa.DataType) -> pa.Array:
    """Read rows one by one: only so GDAL linearises; the Arrow way hands curves on as they are."""
    _, found, shapes, _ = pyogrio.raw.read(path, layer=layer.name, columns=[], fids=fids, return_fids=True)
    if not np.array_equal(found, fids):
        raise ValueError("GDAL gave other rows than it was asked for.")
    return pa.array(shapes.tolist(), kind)


@contextmanager
def _readable(path: Path, label: str) -> Iterator[None]:
    try:
        yield
    except (DataSourceError, DataLayerError, GeometryError, pa.ArrowException, OSError) as exc:
        if _OF_SQLITE.search(str(exc)):
            raise geopackage.explain(path, label) from exc
        reason = str(exc).partition("; It might help")[0].replace(str(path), "the file").replace(str(path.parent), "")
        raise PermanentError(
            f"The layer {clip(label)!r} cannot be read: {clip(reason, 500).rstrip('.')}.",
            remediation="Check that the file opens in QGIS, write it again, and upload it anew.",
            code="source_unreadable",
        ) from exc
