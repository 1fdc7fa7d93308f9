"""Questions to the database: its health, its schemas and tables, its versions."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from controllers.base import JobParameters, schema_faults
from controllers.jobs.metadata import MetadataController
from schema.jobs import Json
from schema.settings import Settings

Identifier = Annotated[str, Field(min_length=1, max_length=63)]
"""What PostgreSQL keeps of a name. Tables that others made may have any."""


class DatabaseHealth(MetadataController):
    """How the database does: connections, locks, bloat, migrations, versions, age of the sweep."""

    job_type = "database_health"


class GetDatabaseSummary(MetadataController):
    """Tables, catalogue and jobs in figures."""

    job_type = "get_database_summary"


class ListSchemas(MetadataController):
    """The schemas, with what they hold."""

    job_type = "list_schemas"


class GetPostgisInfo(MetadataController):
    """Versions of PostGIS and its libraries, and the geometry columns by type."""

    job_type = "get_postgis_info"


class DescribeTableParameters(JobParameters):
    """Which table."""

    target_schema: Identifier = Field(default="geo", description="One of the schemas that jobs load into.")
    target_table: Identifier = Field(description="A table or a view.")


class DescribeTable(MetadataController):
    """Columns, geometries, indexes, constraints, size and bounds of a table."""

    job_type = "describe_table"
    Parameters = DescribeTableParameters

    def check_parameters(self, parameters: JobParameters, settings: Settings) -> list[Json]:
        """Describe what jobs load, and nothing else."""
        return schema_faults(getattr(parameters, "target_schema", None), settings)
