"""GeoJSON and GeoJSON lines as layers: layout, parts, columns and geometries put together.

The first pass reads the file from the front, proves where features begin, and finds names and types of columns from all
of them. What it finds goes along in the plan, so the tasks read the rows of their chunks from the file by themselves,
side by side, and nothing is stored in between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schema.jobs import Json
from services.vector.chunks import Chunk
from services.vector.geometry import wkb
from services.vector.read_options import ReadOptions
from services.vector.readers.geojson import layout as layouts
from services.vector.readers.geojson.columns import Column, ColumnFinder, JsonTyper, convert, readable_name
from services.vector.readers.geojson.count import count_rows
from services.vector.readers.geojson.crs_member import read_crs
from services.vector.readers.geojson.decode import AnyFeature, read_json
from services.vector.readers.geojson.geometries import read_geometries
from services.vector.readers.geojson.layout import Kind, Layout
from services.vector.readers.geojson.parts import PART_SIZE, FeaturePart, collection_parts
from services.vector.readers.geojson.sequence import sequence_parts
from services.vector.readers.source_layer import FAULT_TYPE, SourceBatch, SourceLayer

_ID = "id"
# Features of a file of up to this size are kept in memory from the first pass to the second.
_KEPT_BYTES = 8 * 2**20
_BATCH_BYTES = 4 * 2**20
"""Of geometries: a part is small, and whatever works on batches has a cost for each."""


@dataclass(frozen=True)
class GeoJsonSchema:
    """How the rows of a file are read, as the first pass found it out from all of them."""

    kind: Kind
    crs: str
    ids: Column | None
    """The member `id` of features, if any has one."""
    properties: tuple[Column, ...]

    def layer(self, name: str) -> SourceLayer:
        """Return the layer of such a file; its reader state is this schema."""
        columns = ([self.ids] if self.ids else []) + list(self.properties)
        fields = tuple((readable_name(column.name), column.arrow_type) for column in columns)
        reading = {"column_types": {readable_name(column.name): column.type_name for column in columns}}
        return SourceLayer(name, self.crs, fields, None, reading, asdict(self))

    @classmethod
    def from_json(cls, data: Json) -> GeoJsonSchema:
        """Read the reader state of a layer."""
        properties = tuple(Column(**column) for column in data["properties"])
        return cls(data["kind"], data["crs"], data["ids"] and Column(**data["ids"]), properties)


@contextmanager
def open_geojson(
    path: Path,
    name: str,
    read_options: ReadOptions,
    check: Callable[[], None],
    *,
    by_lines: bool,
    geometry_only: bool = False,
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open a file for one pass over its rows, after a pass that finds its columns.

    Parameters
    ----------
    by_lines
        Whether the file's name says that it has a feature a line.
    geometry_only
        The batches have no attributes.

    Raises
    ------
    PermanentError
        The file is not JSON, is not GeoJSON, or names a CRS that is not known.
    """
    layout = layouts.find_layout(path, by_lines=by_lines, check=check)
    is_small = path.stat().st_size <= _KEPT_BYTES
    finder, end, kept = _SchemaFinder(), layout.begin, []
    for part in _parts(path, layout.kind, layout.begin, 0, check):
        finder.add(part.features)
        end = part.range.end
        if is_small:
            kept.append(part)
    schema = finder.schema(layout.kind, _read_crs(path, layout, end, finder.first_crs, read_options))
    again = kept if is_small else _parts(path, layout.kind, layout.begin, 0, check, bare=geometry_only)
    layer = replace(schema.layer(name), count_rows=partial(count_rows, path, layout, check))
    yield layer, _batches(again, schema, bare=geometry_only)


@contextmanager
def open_geojson_chunk(
    path: Path, name: str, reader_state: Json, chunk: Chunk, check: Callable[[], None]
) -> Iterator[tuple[SourceLayer, Iterator[SourceBatch]]]:
    """Open the rows of a chunk, which are read by the schema that open_geojson found."""
    schema = GeoJsonSchema.from_json(reader_state)
    assert chunk.part is not None
    first, behind = chunk.first_fid, chunk.first_fid + chunk.rows
    found = _parts(path, schema.kind, chunk.part.begin, chunk.part.first_row, check, end=chunk.part.end)
    yield schema.layer(name), _batches((_cut(part, first, behind) for part in found), schema)


class _SchemaFinder:
    def __init__(self) -> None:
        self._columns = ColumnFinder()
        self._ids = JsonTyper()
        self._has_ids = False
        self.first_crs: bytes | None = None
        """The member `crs` of the first feature."""

    def add(self, features: list[AnyFeature]) -> None:
        self._columns.add([one.properties for one in features])  # type: ignore[misc]
        if features and self.first_crs is None:
            self.first_crs = bytes(features[0].crs)
        ids = _ids_of(features)
        if any(one is not None for one in ids):
            self._has_ids = True
            self._ids.add(ids)

    def schema(self, kind: Kind, crs: str) -> GeoJsonSchema:
        ids = None
        if self._has_ids:
            # Numbers of features beside texts, and whatever else stands there, are names.
            found = self._ids.kind
            ids = Column(_ID, found if found in ("integer", "bigint") else "text")
        return GeoJsonSchema(kind, crs, ids, self._columns.columns)


def _parts(
    path: Path,
    kind: Kind,
    begin: int,
    row: int,
    check: Callable[[], None],
    *,
    end: int | None = None,
    bare: bool = False,
) -> Iterator[FeaturePart]:
    if kind == "collection":
        return collection_parts(path, begin, row, check, end=end, bare=bare)
    return sequence_parts(path, kind, begin, row, check, end=end, bare=bare)


def _read_crs(path: Path, layout: Layout, end: int, of_feature: bytes | None, read_options: ReadOptions) -> str:
    """Return the CRS of a file whose last feature ends at a byte offset. Raises PermanentError."""
    member = of_feature or b""
    if layout.kind == "collection":
        members = layout.head | layouts.read_tail(path, end)
        layouts.check_collection(members)
        member = members.get("crs", b"")
    return read_crs(member, overruled=read_options.source_crs is not None)


def _ids_of(features: list[AnyFeature]) -> list[Any]:
    given = [bytes(one.id) for one in features]
    return [read_json(text) if text else None for text in given] if any(given) else [None] * len(given)


def _cut(part: FeaturePart, first: int, behind: int) -> FeaturePart:
    """Return the rows of a part whose numbers are at least `first` and below `behind`."""
    row = part.range.first_row
    start, stop = max(0, first - row), max(0, behind - row)
    return FeaturePart(replace(part.range, first_row=row + start), part.features[start:stop])


def _batches(found: Iterable[FeaturePart], schema: GeoJsonSchema, *, bare: bool = False) -> Iterator[SourceBatch]:
    """Yield batches of several parts each, which end where a part does that ends with a multiple of 10,000 rows."""
    held: list[SourceBatch] = []
    for part in found:
        if part.features:
            held.append(_batch(part, schema, bare=bare))
            row = part.range.first_row + len(part.features)
            if row % PART_SIZE.rows == 0 or sum(one.geometry.nbytes for one in held) >= _BATCH_BYTES:
                yield _join(held)
                held = []
    if held:
        yield _join(held)


def _join(batches: list[SourceBatch]) -> SourceBatch:
    if len(batches) == 1:
        return batches[0]
    first, last = batches[0], batches[-1]
    assert first.part is not None
    assert last.part is not None
    faults = [pa.nulls(len(one.fids), FAULT_TYPE) if one.faults is None else one.faults for one in batches]
    (attributes,) = pa.Table.from_batches([one.attributes for one in batches]).combine_chunks().to_batches() or [
        first.attributes
    ]
    return SourceBatch(
        np.concatenate([one.fids for one in batches]),
        attributes,
        pa.concat_arrays([one.geometry for one in batches]),
        np.concatenate([one.type_codes for one in batches]),
        pa.concat_arrays(faults) if any(one.faults is not None for one in batches) else None,
        replace(first.part, end=last.part.end),
    )


def _batch(part: FeaturePart, schema: GeoJsonSchema, *, bare: bool = False) -> SourceBatch:
    features = part.features
    geometry, faults = read_geometries(features)
    columns = [] if bare else _attributes(features, schema)
    first = part.range.first_row
    told: list[dict[str, Any] | None] = [None] * len(features)
    for row, (reason, raw) in faults.items():
        told[row] = {"reason": reason, "raw": raw}
    return SourceBatch(
        fids=np.arange(first, first + len(features)),
        # Names of columns may be equal, so batches go by place.
        attributes=pa.RecordBatch.from_arrays(columns, names=[f"f{i}" for i in range(len(columns))]),
        geometry=geometry,
        type_codes=wkb.read_headers(geometry).type_codes,
        faults=pa.array(told, FAULT_TYPE) if faults else None,
        part=part.range,
    )


def _attributes(features: list[AnyFeature], schema: GeoJsonSchema) -> list[pa.Array]:
    rows: list[dict[str, Any]] = [one.properties or {} for one in features]  # type: ignore[misc]
    ids = [convert(_ids_of(features), schema.ids.kind)] if schema.ids else []
    return ids + [convert([row.get(column.name) for row in rows], column.kind) for column in schema.properties]
