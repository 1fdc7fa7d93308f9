"""Questions to the database: its health, its schemas and tables, its versions."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from controllers.base import AllowedSchema, JobParameters, SingleTask
from schema.jobs import Json

Identifier = Annotated[str, Field(min_length=1, max_length=63)]
"""What PostgreSQL keeps of a name. Tables that others made may have any."""


class DatabaseHealth(SingleTask):
    """Check the database: connections, locks, bloat, migrations, versions, and when the sweep last ran."""

    job_type = "database_health"


class GetDatabaseSummary(SingleTask):
    """Show what the database holds: tables, STAC items, jobs by status, sizes and versions."""

    job_type = "get_database_summary"


class ListSchemas(SingleTask):
    """List the schemas of the database, each with its tables, views and size."""

    job_type = "list_schemas"


class GetPostgisInfo(SingleTask):
    """Show the versions of PostGIS and its libraries, and the geometry columns by type."""

    job_type = "get_postgis_info"


class DescribeTableParameters(JobParameters):
    """Which table."""

    target_schema: Annotated[Identifier, AllowedSchema] = Field(
        default="geo", description="Schema of the table, one of GEOSTAGE_TARGET_SCHEMAS.", examples=["planning"]
    )
    target_table: Identifier = Field(description="The table or view to describe.", examples=["us_counties"])


class DescribeTable(SingleTask):
    """Describe a table or view: columns, geometries with their bounds, indexes, constraints and size."""

    job_type = "describe_table"
    Parameters = DescribeTableParameters
    example: ClassVar[Json] = {"target_table": "us_counties"}
