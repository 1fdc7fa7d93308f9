"""GeoParquet, converted to an Arrow file beside the source, once per instance, in which any row is found at once.

A Parquet file can be read from the start of a row group only, and groups of a million rows are common: each task would
decode a group for its few thousand. It is read without GDAL, because the GDAL of pyogrio's wheel has no Parquet driver.
Format: geoparquet.org, versions 1.0 and 1.1, and Parquet's own types GEOMETRY and GEOGRAPHY.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
from pyproj.exceptions import CRSError

from schema.clipping import clip, listed
from schema.errors import PermanentError
from services.references import check_crs
from services.vector.chunks import Chunk
from services.vector.geometry import wkb
from services.vector.geometry.crs import Bounds
from services.vector.readers.source_layer import SourceBatch, SourceLayer
from services.vector.row_count import RowCount

BATCH_ROWS = 5_000
_WKB = "WKB"
_NATIVE = {"point": 0, "linestring": 1, "polygon": 2, "multipoint": 1, "multilinestring": 2, "multipolygon": 3}
"""Encodings other than WKB, by the depth of their lists of coordinates."""
_DIMENSIONS = (["x", "y"], ["x", "y", "z"], ["x", "y", "m"], ["x", "y", "z", "m"])
_DEFAULT_CRS = "OGC:CRS84"
_GEO = b"geo"


@dataclass(frozen=True)
class GeometryColumn:
    """The column of the geometries that are loaded, by the file's metadata."""

    column: str
    encoding: str
    crs: str | None
    bounds: Bounds | None
    left_out: tuple[str, ...]
    """Columns that only speed up filters, and further geometries."""


def read_geometry_column(path: Path) -> GeometryColumn:
    """Return the column of the geometries by the `geo` metadata, or else by Parquet's own geometry types.

    Raises
    ------
    PermanentError
        The file is not Parquet, says in neither way which column it is, or not as the formats demand.
    """
    try:
        with pq.ParquetFile(path) as file:
            schema, metadata = file.schema_arrow, file.metadata.metadata or {}
            typed = _typed_columns(file.schema)
    except (pa.ArrowException, OSError) as exc:
        raise _unreadable(exc) from exc
    if _GEO not in metadata and not typed:
        raise PermanentError(
            "The Parquet file has no geo metadata and no column of the type GEOMETRY or GEOGRAPHY, so nothing says "
            f"which column holds the geometries. Its columns are: {listed(schema.names)}.",
            remediation="Write it as GeoParquet, for instance with geopandas' to_parquet or with ogr2ogr.",
            code="geo_metadata_missing",
        )
    try:
        if _GEO in metadata:
            geo = json.loads(metadata[_GEO])
            return _parse_column(geo["columns"], geo["primary_column"], schema)
        columns = {name: _described(stated, metadata) for name, stated in typed.items()}
        return _parse_column(columns, next(iter(typed)), schema)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, CRSError) as exc:
        raise PermanentError(
            f"The geo metadata of the Parquet file are not valid: {_explain(exc)}.",
            remediation="Write the file again as GeoParquet 1.0 or 1.1, and upload it.",
            code="geo_metadata_invalid",
        ) from exc


def _typed_columns(schema: pq.ParquetSchema) -> dict[str, str]:
    """Return the CRS that each column of Parquet's own GEOMETRY or GEOGRAPHY type states; "" where it states none."""
    columns = (schema.column(number) for number in range(len(schema)))
    types = {column.path: json.loads(column.logical_type.to_json()) for column in columns}
    # A dot in the path: a geometry within another value.
    return {
        path: str(kind.get("crs", ""))
        for path, kind in types.items()
        if kind.get("Type") in ("Geometry", "Geography") and "." not in path
    }


def _described(stated: str, metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """Return a typed column as GeoParquet's metadata would describe it.

    The forms of the CRS: https://github.com/apache/parquet-format/blob/master/Geospatial.md.
    """
    form, _, place = stated.partition(":")
    crs: Any = stated or _DEFAULT_CRS
    if form == "projjson":
        if place.encode() not in metadata:
            raise ValueError(f"the CRS is in the file's metadata {clip(place)!r}, which are missing")
        crs = json.loads(metadata[place.encode()])
    elif form == "srid":
        # Zero stands for an unknown one, as in PostGIS.
        crs = f"EPSG:{place}" if int(place) else None
    return {"encoding": _WKB, "crs": crs}


def _parse_column(columns: dict[str, dict[str, Any]], column: str, schema: pa.Schema) -> GeometryColumn:
    about = columns[column]
    if column not in schema.names:
        raise KeyError(column)
    shown = clip(column)
    if about["encoding"] not in (_WKB, *_NATIVE):
        raise ValueError(f"column {shown!r} has the unknown encoding {clip(str(about['encoding']))!r}")
    kind = schema.field(column).type
    if not _fits(kind, about["encoding"]):
        raise ValueError(
            f"column {shown!r} has the type {clip(str(kind))}, which does not fit the encoding {about['encoding']}"
        )
    # A struct of four columns that only speeds up filters.
    covering = about.get("covering", {}).get("bbox", {}).get("xmin", [])
    crs = about.get("crs", _DEFAULT_CRS)
    # PROJJSON as a rule, a text in older files; WKT is what the rest of the program passes around.
    check_crs(crs if isinstance(crs, str) else json.dumps(crs), f"The column {shown!r}")
    text = pyproj.CRS.from_user_input(crs).to_wkt() if crs is not None else None
    box = about.get("bbox")
    bounds: Bounds | None = None
    if box and len(box) in (4, 6):
        half = len(box) // 2
        bounds = (float(box[0]), float(box[1]), float(box[half]), float(box[half + 1]))
    return GeometryColumn(column, about["encoding"], text, bounds, (*covering[:1], *(set(columns) - {column})))


def convert(path: Path, into: Path, check: Callable[[], None], limit: int) -> None:
    """Write the columns to an Arrow file, the geometries first, as WKB. A file without rows makes one empty batch.

    Parameters
    ----------
    check
        Called for each batch of BATCH_ROWS rows; may raise.
    limit
        Bytes that the Arrow file may have.

    Raises
    ------
    PermanentError
        The file is not valid, or the Arrow file exceeds the limit.
    """
    about = read_geometry_column(path)
    try:
        with pq.ParquetFile(path, memory_map=True) as file, pa.OSFile(str(into), "wb") as sink:
            names = [name for name in file.schema_arrow.names if name != about.column and name not in about.left_out]
            parts = file.iter_batches(batch_size=BATCH_ROWS, columns=[about.column, *names])
            first = next(parts, None)
            if first is None:
                empty = [column.combine_chunks() for column in file.schema_arrow.empty_table().columns]
                first = pa.RecordBatch.from_arrays(empty, schema=file.schema_arrow)
            _write(chain((first,), parts), about, names, sink, check, limit)
    except (pa.ArrowException, OSError) as exc:
        raise _unreadable(exc) from exc


def _write(
    parts: Iterator[pa.RecordBatch],
    about: GeometryColumn,
    names: list[str],
    sink: pa.NativeFile,
    check: Callable[[], None],
    limit: int,
) -> None:
    writer: pa.RecordBatchFileWriter | None = None
    options = pa.ipc.IpcWriteOptions(compression="lz4", unify_dictionaries=True)
    for part in parts:
        check()
        geometry = _as_wkb(part.column(about.column), about.encoding)
        columns = [part.column(name) for name in names]
        # An Arrow file allows one dictionary per column; each row group of Parquet may have its own.
        columns = [one.dictionary_decode() if pa.types.is_dictionary(one.type) else one for one in columns]
        batch = pa.RecordBatch.from_arrays([geometry, *columns], names=["", *names])
        writer = writer or pa.ipc.new_file(sink, batch.schema, options=options)
        writer.write_batch(batch)
        if sink.tell() > limit:
            raise PermanentError(
                f"The Parquet file takes more than {limit} bytes when it is decompressed.",
                remediation="Split it into several files.",
                code="archive_refused",
            )
    assert writer is not None
    writer.close()


@contextmanager
def open_converted(
    path: Path, converted: Path, name: str, *, chunk: Chunk | None, geometry_only: bool
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open what `convert` wrote, for one pass over its rows, or over those of a chunk.

    With `geometry_only` the batches have no attributes, and the layer names no fields.
    """
    about = read_geometry_column(path)
    # Mapped, so that the processes of an instance share its pages.
    with pa.memory_map(str(converted)) as source, pa.ipc.open_file(source) as reader:
        schema = reader.schema
        places = [] if geometry_only else list(range(1, len(schema)))
        fields = tuple((schema.names[i], schema.types[i]) for i in places)
        reading = {"geometry_column": about.column, "encoding": about.encoding, "left_out": list(about.left_out)}
        layer = SourceLayer(name, about.crs, fields, about.bounds, reading, count_rows=partial(_count_rows, path))
        yield layer, _batches(reader, places, chunk)


def _count_rows(path: Path, rows: int) -> tuple[RowCount, ...]:
    del rows
    # Of the Parquet file, not of the Arrow file that the rows come from: `convert` may have lost some.
    return (RowCount(pq.read_metadata(path).num_rows, "the metadata of the Parquet file"),)


def _batches(reader: pa.RecordBatchFileReader, places: list[int], chunk: Chunk | None) -> Iterator[SourceBatch]:
    # `convert` wrote BATCH_ROWS rows into every batch but the last: so a row's batch is known without an index.
    number, start = divmod(chunk.first_row - 1, BATCH_ROWS) if chunk else (0, 0)
    left = chunk.rows if chunk else None
    while number < reader.num_record_batches and left != 0:
        whole = reader.get_batch(number)
        part = whole.slice(start, left)
        first = number * BATCH_ROWS + start
        geometry = part.column(0)
        attributes = part.select(places)
        yield SourceBatch(
            np.arange(first, first + part.num_rows), attributes, geometry, wkb.read_headers(geometry).type_codes
        )
        left = left - part.num_rows if left is not None else None
        number, start = number + 1, 0


def _fits(kind: pa.DataType, encoding: str) -> bool:
    """Whether a column has the type that its encoding demands."""
    # Writers may mark the column as geoarrow.wkb, which is a name for binary.
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    if encoding == _WKB:
        return str(kind) in ("binary", "large_binary", "binary_view")
    for _ in range(_NATIVE[encoding]):
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
            return False
        kind = kind.value_type
    if not pa.types.is_struct(kind):
        return False
    doubles = {str(field.type) for field in kind} == {"double"}
    return doubles and [field.name for field in kind] in _DIMENSIONS


def _as_wkb(values: pa.Array, encoding: str) -> pa.Array:
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if not len(values):
        return pa.array([], pa.binary())
    if encoding == _WKB:
        # From large_binary or binary_view: the rest of the program reads 32-bit offsets.
        return values.cast(pa.binary())
    # shapely does not read nested lists of coordinates; geopandas does, by the name of the extension type.
    values = _without_m(values)
    named = pa.field("geometry", values.type, metadata={"ARROW:extension:name": f"geoarrow.{encoding}"})
    frame = gpd.GeoDataFrame.from_arrow(pa.Table.from_arrays([values], schema=pa.schema([named])))
    return pa.array(frame.geometry.to_wkb(), pa.binary())


def _without_m(values: pa.Array) -> pa.Array:
    """Rename the M of XYM to Z, which geopandas can read: a load drops and counts M and Z alike."""
    kind = values.type
    if pa.types.is_struct(kind):
        if [field.name for field in kind] != _DIMENSIONS[2]:
            return values
        return pa.StructArray.from_arrays(values.flatten(), names=_DIMENSIONS[1], mask=values.is_null())
    inside = _without_m(values.values)
    if inside is values.values:
        return values
    field = kind.value_field.with_type(inside.type)
    outer = pa.large_list(field) if pa.types.is_large_list(kind) else pa.list_(field)
    return pa.Array.from_buffers(outer, len(values), values.buffers()[:2], offset=values.offset, children=[inside])


def _explain(exc: Exception) -> str:
    if isinstance(exc, KeyError):
        return f"{clip(str(exc.args[0]))!r} is missing"
    if isinstance(exc, TypeError | AttributeError):
        return "their structure is not that of GeoParquet"
    return str(exc)[:200].rstrip(".")


def _unreadable(exc: Exception) -> PermanentError:
    return PermanentError(
        f"The Parquet file is damaged or cut off: {str(exc).splitlines()[0][:200].rstrip('.')}.",
        remediation="Write the file again, and upload it.",
        code="source_unreadable",
    )
