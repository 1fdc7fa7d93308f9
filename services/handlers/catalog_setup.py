"""The handler of setup_stac_geo_schema."""

from __future__ import annotations

from repositories.migrate import migrate_all
from schema.jobs import Json
from services.context import TaskContext


def setup(ctx: TaskContext) -> Json:
    """Apply the migrations that the database lacks; a second run, also at the same time, changes nothing."""
    applied = migrate_all(ctx.settings.postgres_dsn.get_secret_value())
    return {"status": "migrated" if applied.names else "up_to_date", **applied.as_json()}
