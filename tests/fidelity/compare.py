"""PostgreSQL beside the table that was written: rows, types, values, geometries."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import psycopg
import shapely
from psycopg import sql

from tests.fidelity.formats import FileFormat
from tests.fidelity.tables import RandomTable

_TYPES = """
SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""


def differences(conn: psycopg.Connection[Any], name: str, file_format: FileFormat, table: RandomTable) -> list[str]:
    """Return what of a loaded table is not as it was written, a sentence each."""
    types = dict(conn.execute(_TYPES, [f"geo.{name}"]).fetchall())
    query = sql.SQL("SELECT id, ST_AsBinary(geom), geom IS NULL FROM geo.{} ORDER BY id").format(sql.Identifier(name))
    rows = conn.execute(query).fetchall()
    if [row[0] for row in rows] != list(range(1, len(table.shapes) + 1)):
        return [f"rows {[row[0] for row in rows]} instead of {len(table.shapes)}"]
    found = _compare_shapes(table.shapes, [row[1] for row in rows])
    written = file_format.columns_of(table)
    for column in written.column_names:
        values = written.column(column).to_pylist()
        if column not in types:
            # KML does not name a column that has no value.
            found += [f"{column} is missing"] if any(value is not None for value in values) else []
            continue
        found += _compare_column(conn, name, column, types[column], file_format.types[column], values)
    extra = set(types) - set(written.column_names) - {"id", "geom"} - set(file_format.own_columns)
    return found + [f"{column} was not in the file" for column in sorted(extra)]


def _compare_shapes(written: Sequence[Any], loaded: Sequence[bytes | None]) -> list[str]:
    found = []
    for row, (shape, data) in enumerate(zip(written, loaded, strict=True), start=1):
        known = None if data is None else shapely.from_wkb(bytes(data))
        if (shape is None) != (known is None) or (shape is not None and _plain(shape) != _plain(known)):
            found.append(f"row {row}: {known} instead of {shape}")
    return found


def _plain(shape: Any) -> Any:
    # Rings may begin and turn elsewhere, and a table may hold all of its rows as multi geometries.
    parts = shapely.get_parts(shapely.normalize(shape))
    return sorted(part.wkt for part in parts)


def _compare_column(
    conn: psycopg.Connection[Any], table: str, column: str, kind: str, wanted: tuple[str, ...], values: list[Any]
) -> list[str]:
    known = [value for value in values if value is not None]
    if known and wanted and kind not in wanted:
        return [f"{column} is {kind} instead of {' or '.join(wanted)}: {known[:3]}"]
    as_text = known and isinstance(known[0], str)
    query = sql.SQL("SELECT {} FROM geo.{} ORDER BY id").format(
        sql.SQL("{}::text").format(sql.Identifier(column)) if as_text else sql.Identifier(column), sql.Identifier(table)
    )
    loaded = [row[0] for row in conn.execute(query)]
    pairs = enumerate(zip(values, loaded, strict=True), start=1)
    return [
        f"{column} of row {row}: {got!r} instead of {value!r}" for row, (value, got) in pairs if not _same(value, got)
    ]


def _same(value: Any, got: Any) -> bool:
    if isinstance(value, float) and isinstance(got, str):
        return math.isclose(value, float(got), rel_tol=0)
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(got, str):
        return got == str(value)
    if hasattr(value, "year") and not hasattr(value, "hour") and hasattr(got, "hour"):
        return bool(got.date() == value and not any((got.hour, got.minute, got.second, got.microsecond)))
    return bool(value == got)
