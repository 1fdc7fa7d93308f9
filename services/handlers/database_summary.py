"""The handlers of get_database_summary and get_postgis_info: the database in figures and versions."""

from __future__ import annotations

from repositories import inventory
from repositories.catalog import items
from schema.jobs import Json
from services.context import TaskContext
from services.handlers.database_health import pgstac_version

READ_SECONDS = 60
SHOWN = 100


def get_database_summary(ctx: TaskContext) -> Json:
    """Count tables of the target schemas, records of the catalog, and jobs by status; rows are estimates."""
    schemas = list(ctx.settings.target_schemas)
    with items.reading(ctx.database, READ_SECONDS, fail_on_lock=True) as conn:
        server = inventory.one(conn, "server")
        found = inventory.many(conn, "list_tables", schemas=schemas, limit=SHOWN + 1)
        return {
            "target_schemas": schemas,
            "tables": {
                **inventory.one(conn, "sum_tables", schemas=schemas),
                "largest": found[:SHOWN],
                "is_cut": len(found) > SHOWN,
            },
            "catalog": {**inventory.one(conn, "count_catalog"), "pgstac": pgstac_version(conn)},
            "jobs": {row["name"]: row["jobs"] for row in inventory.many(conn, "count_jobs")},
            "bytes": server["bytes"],
            "postgresql": server["postgresql"],
            "postgis": server["postgis"],
        }


def get_postgis_info(ctx: TaskContext) -> Json:
    """Return the versions of PostGIS and its libraries, the extensions, and the geometry columns by type."""
    with items.reading(ctx.database, READ_SECONDS) as conn:
        return {
            **inventory.one(conn, "libraries"),
            "extensions": inventory.many(conn, "extensions", limit=SHOWN),
            "reference_systems": inventory.one(conn, "reference_systems"),
            "geometry_types": inventory.many(conn, "geometry_types", limit=SHOWN),
        }
