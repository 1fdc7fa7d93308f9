"""The handlers of list_schemas and describe_table: read from PostgreSQL's own tables, not from users' rows."""

from __future__ import annotations

from repositories import inventory
from repositories.catalog import items
from repositories.postgres import Connection
from repositories.target_table.inspection import list_lock_holders
from repositories.target_table.statements import Table
from schema.jobs import Json
from services.context import TaskContext
from services.database_errors import table_locked, table_not_found

READ_SECONDS = 60
SHOWN = 500
KNOWN_TABLES = 5000
"""Names that are compared with one that does not exist, for "Did you mean ...?"."""
EXACT_ROWS = 200_000
EXACT_BYTES = 500_000_000
"""A table with more rows or bytes is not read for its bounds."""
KINDS = {"r": "table", "p": "partitioned table", "v": "view", "m": "materialized view", "f": "foreign table"}
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def list_schemas(ctx: TaskContext) -> Json:
    """Return the schemas that are not PostgreSQL's own, with their sizes; those that jobs load into are targets."""
    with items.reading(ctx.database, READ_SECONDS, fail_on_lock=True) as conn:
        # One more than is shown tells whether the list is cut.
        found = inventory.many(conn, "list_schemas", limit=SHOWN + 1)
    targets = ctx.settings.target_schemas
    shown = [{**row, "is_target": row["schema"] in targets} for row in found[:SHOWN]]
    return {"schemas": shown, "count": len(shown), "is_cut": len(found) > SHOWN}


def describe_table(ctx: TaskContext) -> Json:
    """Describe a table of a target schema: columns, geometries, indexes, constraints, size and bounds."""
    schema, table = ctx.parameters["target_schema"], ctx.parameters["target_table"]
    try:
        return _describe(ctx, schema, table)
    except items.TableLocked as exc:
        with items.reading(ctx.database, READ_SECONDS) as conn:
            blockers = list_lock_holders(conn, [Table(schema, table)])
        raise table_locked(schema, table, blockers) from exc


def _describe(ctx: TaskContext, schema: str, table: str) -> Json:
    with items.reading(ctx.database, READ_SECONDS, fail_on_lock=True) as conn:
        found = inventory.one(conn, "find_relation", schema=schema, table=table)
        if not found:
            known = [row["name"] for row in inventory.many(conn, "list_relations", schema=schema, limit=KNOWN_TABLES)]
            raise table_not_found(schema, table, known)
        oid = found.pop("oid")
        geometries = inventory.many(conn, "geometry_columns", schema=schema, table=table)
        return {
            "schema": schema,
            "table": table,
            **found,
            "kind": KINDS[found["kind"]],
            "columns": inventory.many(conn, "columns", oid=oid),
            "geometries": [{**column, **_bounds(conn, schema, table, column, found)} for column in geometries],
            "indexes": inventory.many(conn, "indexes", oid=oid, limit=SHOWN),
            "constraints": inventory.many(conn, "constraints", oid=oid, limit=SHOWN),
        }


def _bounds(conn: Connection, schema: str, table: str, column: Json, found: Json) -> Json:
    """Return a geometry column's bounds in its own CRS, and whether they are of the statistics or of every row."""
    if not found["may_read"]:
        return {"bbox": None, "bbox_source": None}
    if found["kind"] in ("r", "m") and found["analyzed"] and column["kind"] == "geometry":
        bbox = _bbox(inventory.one(conn, "estimated_bounds", schema=schema, table=table, column=column["name"]))
        # A table that was never analyzed, or whose column is all NULL, has no statistics.
        if bbox:
            return {"bbox": bbox, "bbox_source": "statistics"}
    if found["kind"] == "r" and found["estimated_rows"] <= EXACT_ROWS and found["table_bytes"] <= EXACT_BYTES:
        return {"bbox": _bbox(inventory.exact_bounds(conn, schema, table, column["name"])), "bbox_source": "rows"}
    return {"bbox": None, "bbox_source": None}


def _bbox(bounds: Json) -> list[float] | None:
    corners = [bounds.get(corner) for corner in _CORNERS]
    return [float(corner) for corner in corners if corner is not None] if None not in corners else None
