"""One batch of a load: source rows become rows of the table, or rejected rows that say why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from repositories.target_table.staging import StagingTables
from repositories.target_table.statements import Table
from services.vector.geometry import clean, reasons, wkb
from services.vector.geometry.clean import CleanGeometry
from services.vector.geometry.crs import Project
from services.vector.geometry.wkb import Integers
from services.vector.load import pg_types as types
from services.vector.load.plan import LoadPlan
from services.vector.load.row_accounting import FIRST, LoadTotals
from services.vector.load.row_size import Accepts, find_too_big
from services.vector.readers.source_layer import SourceBatch

ID, GEOMETRY = "id", "geom"
REJECT_SCHEMA = pa.schema([("row_number", pa.int64()), ("reason", pa.string()), ("raw_row", pa.string())])
REJECT_TYPES = {"row_number": types.BIGINT, "reason": types.TEXT, "raw_row": types.JSONB}
TOO_BIG = "row_too_big"
"""The row is larger than a page of PostgreSQL."""
_MAX_RAW_BYTES = 2**20


@dataclass(frozen=True)
class CleanBatch:
    """Rows that are ready for COPY, and those that are not loaded."""

    rows: pa.RecordBatch
    """id, the plan's columns, geom as EWKB."""
    rejects: pa.RecordBatch
    """row_number, reason, raw_row."""
    totals: LoadTotals


def schema_of(plan: LoadPlan) -> tuple[pa.Schema, dict[str, str]]:
    """Give the Arrow schema of the plan's rows and the PostgreSQL type of each field."""
    fields = [(column.name, types.carrier_of(column.pg_type)) for column in plan.columns]
    pg_types = {column.name: column.pg_type for column in plan.columns}
    schema = pa.schema([(ID, pa.int64()), *fields, (GEOMETRY, pa.binary())])
    return schema, {ID: types.BIGINT, **pg_types, GEOMETRY: types.BYTEA}


@dataclass(frozen=True)
class Cleaner:
    """What the batches of a task have in common."""

    plan: LoadPlan
    project: Project | None
    max_repair_vertices: int
    accepts: Accepts
    """Whether PostgreSQL takes rows."""


def clean_batch(cleaner: Cleaner, batch: SourceBatch, first_row: int) -> CleanBatch:
    """Clean a batch. `first_row` is the 1-based number of its first row in the source."""
    plan = cleaner.plan
    shapes = clean.clean(
        batch.geometry,
        cleaner.project,
        family=plan.family,
        max_repair_vertices=cleaner.max_repair_vertices,
        area=plan.area,
        wrap=plan.wrap,
    )
    if not plan.promote and not plan.guessed:
        shapes = clean.refuse_multi(shapes)
    shapes = _with_faults(shapes, batch.faults)
    numbers = np.arange(first_row, first_row + len(shapes.kinds))
    kept = _kept(shapes, keep_null=plan.options.keep_null_geometry)
    columns, nulled = _columns(plan, batch.attributes)
    geom = wkb.to_ewkb(shapes.values, shapes.kinds, plan.srid, multi=plan.promote)
    rows = pa.record_batch([pa.array(numbers), *columns, geom], schema=schema_of(plan)[0])
    too_big = kept & find_too_big(rows, cleaner.accepts)
    reasons = np.where(too_big, TOO_BIG, shapes.reasons)
    kept &= ~too_big
    if not kept.all():
        rows = rows.filter(pa.array(kept))
    rejected = np.flatnonzero(~kept)
    rejects = _rejects(batch, _source_names(plan), rejected, numbers, reasons)
    totals = LoadTotals(
        rows=len(kept),
        loaded=int(kept.sum()),
        rejected=len(rejected),
        multi=int((kept & (shapes.kinds >= wkb.MULTIPOINT)).sum()),
        bounds=shapes.bounds,
        counts=shapes.counts
        + Counter(
            null_geometry=int((kept & (shapes.kinds == 0)).sum()),
            curves_linearised=int((batch.type_codes != shapes.kinds_given).sum()),
        ),
        reasons=Counter(reasons[rejected].tolist()),
        source_types=wkb.count_types(batch.type_codes[kept & (shapes.kinds > 0)]),
        nulled=nulled,
        first_rejected=tuple(zip(numbers[rejected[:FIRST]].tolist(), reasons[rejected[:FIRST]].tolist(), strict=True)),
    )
    return CleanBatch(rows, rejects, totals)


def share_out(plan: LoadPlan, tables: StagingTables, rows: pa.RecordBatch) -> list[tuple[Table, pa.RecordBatch]]:
    """Return which rows go to which staging table: multi geometries to one apart, where single ones were expected."""
    if not plan.splits_multi:
        return [(tables.rows, rows)]
    multi = wkb.read_headers(rows.column(GEOMETRY)).kinds >= wkb.MULTIPOINT
    if not multi.any():
        return [(tables.rows, rows)]
    return [(tables.rows, rows.filter(pa.array(~multi))), (tables.multi, rows.filter(pa.array(multi)))]


def _with_faults(shapes: CleanGeometry, faults: pa.Array | None) -> CleanGeometry:
    """Give the rows that the reader found faulty its reason; they have no geometry."""
    if faults is None:
        return shapes
    found = np.array(pc.struct_field(faults, "reason").to_pylist(), np.object_)
    return replace(shapes, reasons=np.where(faults.is_valid().to_numpy(False), found, shapes.reasons))


def _kept(shapes: CleanGeometry, *, keep_null: bool) -> npt.NDArray[np.bool_]:
    kept: npt.NDArray[np.bool_] = shapes.kinds > 0
    if keep_null:
        kept |= np.isin(shapes.reasons.astype(str), list(reasons.MISSING))
    return kept


def _columns(plan: LoadPlan, attributes: pa.RecordBatch) -> tuple[list[pa.Array], Counter[str]]:
    nulled: Counter[str] = Counter()
    columns = []
    for number, column in enumerate(plan.columns):
        values, lost = types.to_carrier(attributes.column(number), column.pg_type)
        columns.append(values)
        if lost:
            nulled[column.name] = lost
    return columns, nulled


def _source_names(plan: LoadPlan) -> list[str]:
    """Name the columns as the source does; as the table does where two of the source bear one name."""
    names = [column.source for column in plan.columns]
    return names if len(set(names)) == len(names) else [column.name for column in plan.columns]


def _rejects(
    batch: SourceBatch, names: list[str], rows: Integers, numbers: Integers, reasons: npt.NDArray[np.object_]
) -> pa.RecordBatch:
    chosen = pa.array(rows)
    columns = [types.readable(column).to_pylist() for column in batch.attributes.take(chosen).columns]
    properties = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] or [{} for _ in rows]
    values = batch.geometry.take(chosen).to_pylist()
    raw = [_raw_row(*row) for row in zip(properties, values, strict=True)]
    for place, row in enumerate(rows.tolist()):
        if batch.faults is not None and batch.faults[row].is_valid:
            raw[place] = types.raw_json({"text": batch.faults[row]["raw"].as_py()})
    return pa.record_batch([numbers[rows], reasons[rows].tolist(), raw], schema=REJECT_SCHEMA)


def _raw_row(properties: dict[str, Any], value: bytes | None) -> str:
    """Write a rejected row as JSON: its properties, and its geometry as WKT, or as hex when no one can read it."""
    if value is None:
        return types.raw_json({"properties": properties, "geometry": None})
    if len(value) > _MAX_RAW_BYTES:
        return types.raw_json({"properties": properties, "geometry_bytes": len(value)})
    kind = int(wkb.read_headers(pa.array([value])).kinds[0])
    shape: Any = shapely.from_wkb(value, on_invalid="ignore") if kind <= wkb.COLLECTION else None
    if shape is None:
        return types.raw_json({"properties": properties, "geometry_type": wkb.name_of(kind), "wkb": value.hex()})
    return types.raw_json({"properties": properties, "geometry": shapely.to_wkt(shape, rounding_precision=-1)})
