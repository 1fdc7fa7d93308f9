"""Layers, read by GDAL as streams of Arrow batches."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schema.clipping import clip
from schema.errors import PermanentError
from schema.jobs import Json
from services.vector.chunks import Chunk
from services.vector.formats import FLATGEOBUF, GEOPACKAGE, Format
from services.vector.gdal import DataLayerError, DataSourceError, GeometryError, pyogrio
from services.vector.geometry import curves, wkb
from services.vector.geometry.crs import Bounds
from services.vector.readers import dbf, geopackage, times
from services.vector.readers.encodings import Encoding
from services.vector.readers.source_layer import SourceBatch, SourceLayer
from services.vector.row_count import CountRows, no_counts

MAX_BATCH_ROWS = 5_000
# By the average size of a feature in the file; a few batches are in memory at a time.
BATCH_BYTES = 16 * 2**20
_TIMES_AS_TEXT = (GEOPACKAGE, FLATGEOBUF)
"""Formats that hold times as text, with any offset or none in each row."""
_TIMES = "times"
_SQLITE_ERROR = re.compile(r"sqlite3_|malformed|disk image|disk I/O")
"""What GDAL's messages about a damaged GeoPackage contain, beside the statement that failed."""


@dataclass(frozen=True)
class _Columns:
    """Positions in the stream's schema."""

    fid: int | None
    """None where the driver gives no numbers: rows are then numbered from 0."""
    geometry: int
    fields: tuple[int, ...]


@contextmanager
def open_layer(
    path: Path,
    file_format: Format,
    label: str,
    *,
    name: str | None = None,
    chunk: Chunk | None = None,
    geometry_only: bool = False,
    encoding: Encoding | None = None,
    reader_state: Json | None = None,
    count_rows: CountRows = no_counts,
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a layer for one pass over its rows, or over those of a chunk.

    Parameters
    ----------
    label
        The layer as people know it, for messages.
    name
        The layer in a file of several; by default the first one with geometries.
    geometry_only
        The batches have no attributes, and the layer names no fields.
    encoding
        Of a shapefile's text.
    reader_state
        With a chunk: the state that the layer had when it was opened for all of its rows.

    Raises
    ------
    PermanentError
        GDAL cannot read the file, here or at any batch.
    """
    with ExitStack() as stack:
        with _readable(path, label):
            info = pyogrio.read_info(path, layer=name or list_layers(path, label)[0])
            kinds: dict[str, times.Kind] = {}
            if file_format in _TIMES_AS_TEXT and not geometry_only:
                kinds = (reader_state or {}).get(_TIMES) or times.find_kinds(path, info, _options_of(file_format))
            opened = _open(
                path,
                file_format,
                info,
                chunk,
                geometry_only=geometry_only,
                encoding=encoding,
                datetime_as_string=bool(kinds),
            )
            meta, reader = stack.enter_context(opened)
            columns = _find_columns(reader.schema, meta)
        fields = tuple((reader.schema.names[i], reader.schema.types[i]) for i in columns.fields)
        by_value = encoding if encoding and encoding.by_value else None
        if by_value:
            fields = tuple((dbf.decode_name(name, by_value), kind) for name, kind in fields)
        fields = tuple((name, times.ARROW_TYPES[kinds[name]] if name in kinds else kind) for name, kind in fields)
        reading: Json = encoding.reading() if encoding else {}
        if "text" in kinds.values():
            reading["times_as_text"] = [name for name, kind in kinds.items() if kind == "text"]
        # Of a view without a key GDAL numbers the rows itself.
        key = info["fid_column"] or None if file_format is GEOPACKAGE else None
        if key:
            reading["key"] = key
        state: Json = {_TIMES: kinds, **({"encoding": asdict(encoding)} if encoding else {})}
        layer_name, bounds = info["layer_name"], _bounds_of(info)
        layer = SourceLayer(layer_name, meta["crs"], fields, bounds, reading, state, key=key, count_rows=count_rows)
        batches = (
            times.convert(_decoded(batch, by_value), kinds) for batch in _batches(path, label, reader, columns, chunk)
        )
        yield layer, (_without_curves(path, label, layer, file_format, batch) for batch in batches)


def _open(
    path: Path,
    file_format: Format,
    info: dict[str, Any],
    chunk: Chunk | None,
    *,
    geometry_only: bool,
    encoding: Encoding | None,
    datetime_as_string: bool,
) -> AbstractContextManager[tuple[dict[str, Any], pa.RecordBatchReader]]:
    size = path.stat().st_size / max(info["features"], 1)
    rows = max(1, min(MAX_BATCH_ROWS, int(BATCH_BYTES / max(size, 1))))
    options: dict[str, Any] = dict(_options_of(file_format))
    if chunk and file_format is GEOPACKAGE and info["fid_column"]:
        fid = info["fid_column"].replace('"', '""')
        options["where"] = f'"{fid}" >= {chunk.first_fid} AND "{fid}" <= {chunk.last_fid}'
    elif chunk:
        # A shapefile's fid is the number of its record, and deleted records count.
        options["skip_features"] = chunk.first_row - 1 if file_format is GEOPACKAGE else chunk.first_fid
    return pyogrio.open_arrow(  # type: ignore[no-any-return]
        path,
        layer=info["layer_name"],
        encoding=(dbf.RAW if encoding.by_value else encoding.name).upper() if encoding else None,
        columns=[] if geometry_only else None,
        # With them a chunk finds its rows again, and curves are read one by one.
        return_fids=True,
        batch_size=min(rows, chunk.rows) if chunk else rows,
        use_pyarrow=True,
        datetime_as_string=datetime_as_string,
        **options,
    )


def _options_of(file_format: Format) -> dict[str, str]:
    # IMMUTABLE: SQLite takes no locks, and makes no -wal beside a file that several processes read.
    return {"IMMUTABLE": "YES"} if file_format is GEOPACKAGE else {}


def _bounds_of(info: dict[str, Any]) -> Bounds | None:
    # Bounds of a layer without rows may be infinite.
    if info["total_bounds"] is None or not np.isfinite(info["total_bounds"]).all():
        return None
    west, south, east, north = map(float, info["total_bounds"])
    return west, south, east, north


def list_without_geometry(path: Path, label: str) -> tuple[str, ...]:
    """Return the names of the layers without geometries."""
    with _readable(path, label):
        return tuple(str(name) for name, kind in pyogrio.list_layers(path) if kind is None)


def list_layers(path: Path, label: str) -> list[str]:
    """Return the names of the layers with geometries. Raises PermanentError when there are none."""
    if path.suffix == GEOPACKAGE.extensions[0]:
        # GDAL does not recognise one that holds tiles alone.
        geopackage.check_contents(path, label)
    with _readable(path, label):
        layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if not layers:
        raise PermanentError(
            f"{clip(label)} has no layer with geometries.",
            remediation="Check in QGIS that the file has a spatial layer, and upload it again.",
            code="no_layer",
        )
    return layers


def _find_columns(schema: pa.Schema, meta: dict[str, Any]) -> _Columns:
    geometry = schema.get_field_index(meta["geometry_name"] or "wkb_geometry")
    if geometry < 0:
        raise PermanentError(
            "The layer has no geometries.", remediation="Upload a file with geometries.", code="no_geometry"
        )
    # The driver's number comes first; a field may have the same name.
    fid = 0 if schema.names[0] == (meta["fid_column"] or "OGC_FID") else None
    return _Columns(fid, geometry, tuple(i for i in range(len(schema)) if i not in (fid, geometry)))


def _batches(
    path: Path, label: str, reader: pa.RecordBatchReader, columns: _Columns, chunk: Chunk | None
) -> Iterator[SourceBatch]:
    seen, left = 0, chunk.rows if chunk else None
    while True:
        # Not `for batch in reader`: errors of the block that takes the batch are not errors of the file.
        with _readable(path, label):
            batch = next(iter(reader), None)
        if batch is None:
            return
        rows = batch if left is None else batch.slice(0, left)
        fids = np.arange(seen, seen + rows.num_rows) if columns.fid is None else rows.column(columns.fid).to_numpy()
        seen += rows.num_rows
        geometry = rows.column(columns.geometry)
        yield SourceBatch(fids, rows.select(list(columns.fields)), geometry, wkb.read_headers(geometry).type_codes)
        if left is not None:
            left -= rows.num_rows
            if not left:
                return


def _decoded(batch: SourceBatch, by_value: Encoding | None) -> SourceBatch:
    """Return a batch whose text was read by dbf.RAW with its text as it is."""
    if by_value is None or not batch.attributes.num_columns:
        return batch
    columns = [
        dbf.decode_values(column, by_value) if pa.types.is_string(column.type) else column
        for column in batch.attributes.columns
    ]
    return replace(batch, attributes=pa.RecordBatch.from_arrays(columns, schema=batch.attributes.schema))


def _without_curves(path: Path, label: str, layer: SourceLayer, file_format: Format, batch: SourceBatch) -> SourceBatch:
    """Turn curves into lines with a vertex every 4 degrees, the default of GDAL and ogr2ogr."""
    curved = (batch.type_codes >= wkb.FIRST_CURVE) & (batch.type_codes <= wkb.LAST_CURVE)
    if not curved.any():
        return batch
    with _readable(path, label):
        if file_format is FLATGEOBUF:
            # GDAL finds a row of an unindexed file by reading all before it: of 100,000 rows 15,000 circles took 160 s
            # one by one. Through a GeoPackage in memory all of them take 1.6 s.
            lines = curves.linearise(batch.geometry.filter(pa.array(curved)))
        else:
            # Only rows that are read one by one are linearised; Arrow batches have curves as they are.
            fids = batch.fids[curved]
            _, found, shapes, _ = pyogrio.raw.read(path, layer=layer.name, columns=[], fids=fids, return_fids=True)
            if not np.array_equal(found, fids):
                raise ValueError("GDAL returned other rows than it was asked for.")
            lines = pa.array(shapes.tolist(), batch.geometry.type)
    return replace(batch, geometry=pc.replace_with_mask(batch.geometry, pa.array(curved), lines))


@contextmanager
def _readable(path: Path, label: str) -> Iterator[None]:
    try:
        yield
    except (DataSourceError, DataLayerError, GeometryError, pa.ArrowException, OSError) as exc:
        if _SQLITE_ERROR.search(str(exc)):
            raise geopackage.explain(path, label) from exc
        # pyogrio ends its message with advice for programmers.
        reason = str(exc).partition("; It might help")[0].replace(str(path), "the file").replace(str(path.parent), "")
        raise PermanentError(
            f"The layer {clip(label)!r} cannot be read: {clip(reason, 500).rstrip('.')}.",
            remediation="Check that the file opens in QGIS, write it to a new file there, and upload that.",
            code="source_unreadable",
        ) from exc
