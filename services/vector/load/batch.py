"""One batch of a load: source rows become rows of the table, or rejected rows that say why."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from repositories.target_table.staging import StagingTables
from repositories.target_table.statements import Table
from services.vector.geometry import reasons, wkb
from services.vector.geometry.clean import clean, refuse_multi
from services.vector.geometry.crs import Project
from services.vector.geometry.reasons import Codes
from services.vector.geometry.wkb import Integers
from services.vector.load import pg_types
from services.vector.load.plan import LoadPlan
from services.vector.load.row_accounting import FIRST, LoadTotals
from services.vector.load.row_size import Accepts, find_too_big
from services.vector.readers.source_layer import SourceBatch

ID, GEOMETRY = "id", "geom"
REJECT_SCHEMA = pa.schema([("row_number", pa.int64()), ("reason", pa.string()), ("raw_row", pa.string())])
REJECT_TYPES = {"row_number": pg_types.BIGINT, "reason": pg_types.TEXT, "raw_row": pg_types.JSONB}
_MAX_RAW_BYTES = 2**20
"""A rejected row with a larger geometry shows its size alone."""


@dataclass(frozen=True)
class CleanBatch:
    """Rows that are ready for COPY, and those that are not loaded."""

    rows: pa.RecordBatch
    """id, the plan's columns, geom as EWKB."""
    rejects: pa.RecordBatch
    """row_number, reason, raw_row."""
    totals: LoadTotals


def schema_of(plan: LoadPlan) -> tuple[pa.Schema, dict[str, str]]:
    """Return the Arrow schema of the plan's rows and the PostgreSQL type of each field."""
    fields = [(column.name, pg_types.carrier_of(column.pg_type)) for column in plan.columns]
    of_columns = {column.name: column.pg_type for column in plan.columns}
    schema = pa.schema([(ID, pa.int64()), *fields, (GEOMETRY, pa.binary())])
    return schema, {ID: pg_types.BIGINT, **of_columns, GEOMETRY: pg_types.BYTEA}


@dataclass(frozen=True)
class Cleaner:
    """What the batches of a task have in common."""

    plan: LoadPlan
    project: Project | None
    max_repair_vertices: int
    accepts: Accepts
    """Whether PostgreSQL takes rows."""


def clean_batch(cleaner: Cleaner, batch: SourceBatch, first_row: int) -> CleanBatch:
    """Return a batch cleaned. `first_row` is the 1-based number of its first row in the source."""
    plan = cleaner.plan
    if plan.has_key:
        names = ["", *batch.attributes.schema.names]
        batch = replace(
            batch, attributes=pa.record_batch([pa.array(batch.fids), *batch.attributes.columns], names=names)
        )
    shapes = clean(
        batch.geometry,
        cleaner.project,
        dimension=plan.dimension,
        max_repair_vertices=cleaner.max_repair_vertices,
        area=plan.area,
        operation_areas=plan.operation.areas,
        wrap=plan.wrap,
        takes_parts=plan.options.geometry_type is not None,
        source_limits=plan.source_limits,
        target_limits=plan.target_limits,
    )
    if not plan.promote and not plan.guessed:
        shapes = refuse_multi(shapes)
    codes, has_shape = _with_faults(shapes.reasons, batch.faults), shapes.type_codes > 0
    kept = has_shape | (np.isin(codes, reasons.MISSING) if plan.options.keep_null_geometry else False)
    numbers = np.arange(first_row, first_row + len(codes))
    columns, nulled = _columns(plan, batch.attributes)
    # As EWKB, which names its SRID: PostGIS refuses WKB for a column that has one.
    geom = wkb.to_ewkb(shapes.values, shapes.type_codes, plan.srid, multi=plan.promote)
    rows = pa.record_batch([pa.array(numbers), *columns, geom], schema=schema_of(plan)[0])
    too_big = kept & find_too_big(rows, cleaner.accepts)
    codes[too_big] = reasons.CODE_OF[reasons.TOO_BIG]
    kept &= ~too_big
    if not kept.all():
        rows = rows.filter(pa.array(kept))
    rejected = np.flatnonzero(~kept)
    names = reasons.names_of(codes[rejected])
    # Rows that the user has chosen to leave out are no news.
    named = rejected[codes[rejected] != plan.left_out_code]
    totals = LoadTotals(
        rows=len(kept),
        loaded=int(kept.sum()),
        rejected=len(rejected),
        multi=int((kept & (shapes.type_codes >= wkb.MULTIPOINT)).sum()),
        bounds=shapes.bounds,
        counts=shapes.counts
        + Counter(
            null_geometry=int((kept & ~has_shape).sum()),
            curves_linearised=int((batch.type_codes != shapes.given_type_codes).sum()),
        ),
        reasons=Counter(names),
        source_types=wkb.count_types(batch.type_codes[kept & has_shape]),
        nulled=nulled,
        first_rejected=tuple(zip(numbers[named[:FIRST]].tolist(), reasons.names_of(codes[named[:FIRST]]), strict=True)),
    )
    raw = _raw_rows(plan, batch, rejected)
    return CleanBatch(rows, pa.record_batch([numbers[rejected], names, raw], schema=REJECT_SCHEMA), totals)


def share_out(plan: LoadPlan, tables: StagingTables, rows: pa.RecordBatch) -> list[tuple[Table, pa.RecordBatch]]:
    """Return which rows go to which staging table: multi geometries to one apart, where single ones were expected."""
    if not plan.splits_multi:
        return [(tables.rows, rows)]
    multi = wkb.read_headers(rows.column(GEOMETRY)).type_codes >= wkb.MULTIPOINT
    if not multi.any():
        return [(tables.rows, rows)]
    return [(tables.rows, rows.filter(pa.array(~multi))), (tables.multi, rows.filter(pa.array(multi)))]


def _with_faults(codes: Codes, faults: pa.Array | None) -> Codes:
    """Return the codes of reasons, with those of the rows that the reader found faulty."""
    if faults is None:
        return codes
    found = pc.index_in(pc.struct_field(faults, "reason"), value_set=pa.array(reasons.ALL))
    return np.where(faults.is_valid().to_numpy(False), found.fill_null(0).to_numpy(False), codes).astype(np.int8)


def _columns(plan: LoadPlan, attributes: pa.RecordBatch) -> tuple[list[pa.Array], Counter[str]]:
    nulled: Counter[str] = Counter()
    columns = []
    for number, column in enumerate(plan.columns):
        values, lost = pg_types.to_carrier(attributes.column(number), column.pg_type)
        columns.append(values)
        if lost:
            nulled[column.name] = lost
    return columns, nulled


def _raw_rows(plan: LoadPlan, batch: SourceBatch, rejected: Integers) -> list[str]:
    """Write rejected rows as JSON: the text of one that could not be read, properties and geometry of the others."""
    names = [column.source for column in plan.columns]
    if len(set(names)) < len(names):
        # Two columns of the source have one name, and a key of the JSON would be lost.
        names = [column.name for column in plan.columns]
    chosen = pa.array(rejected)
    columns = [pg_types.readable(column).to_pylist() for column in batch.attributes.take(chosen).columns]
    properties = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)] or [{} for _ in rejected]
    faults = [None] * len(rejected) if batch.faults is None else batch.faults.take(chosen).to_pylist()
    return [
        pg_types.raw_json({"text": fault["raw"]} if fault else {"properties": row, **_readable_geometry(value)})
        for fault, row, value in zip(faults, properties, batch.geometry.take(chosen).to_pylist(), strict=True)
    ]


def _readable_geometry(value: bytes | None) -> dict[str, Any]:
    """Return a geometry as WKT; as hex where shapely cannot read it."""
    if value is None:
        return {"geometry": None}
    if len(value) > _MAX_RAW_BYTES:
        return {"geometry_bytes": len(value)}
    code = int(wkb.read_headers(pa.array([value])).type_codes[0])
    shape: Any = shapely.from_wkb(value, on_invalid="ignore") if code <= wkb.COLLECTION else None
    if shape is None:
        return {"geometry_type": wkb.name_of(code), "wkb": value.hex()}
    return {"geometry": shapely.to_wkt(shape, rounding_precision=-1)}
