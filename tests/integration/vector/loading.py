"""Jobs that load files, and the tables that they make."""

from __future__ import annotations

from typing import Any

from psycopg.rows import tuple_row

from schema.jobs import Json
from schema.settings import WORK_SCHEMA
from tests.fixtures.world import EngineWorld


class Loader(EngineWorld):
    """Loads files into the database."""

    def load(self, name: str, **parameters: Any) -> Json:
        """The result of process_vector on a blob."""
        return self.result("process_vector", resource_id=name, **parameters)

    def warnings(self, name: str, **parameters: Any) -> dict[str, Json]:
        """The warnings of process_vector on a blob, by their codes."""
        job = self.complete("process_vector", resource_id=name, **parameters)
        return {warning["code"]: warning for warning in job.warnings}

    def work_tables(self, job_id: str = "") -> list[str]:
        """What is left in the work area of a job, or of any."""
        query = "SELECT tablename FROM pg_tables WHERE schemaname = %s AND starts_with(tablename, %s)"
        return [row["tablename"] for row in self.sql(query, [WORK_SCHEMA, f"s_{job_id}"])]

    def rows(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """The rows of a query, as tuples."""
        with self.database.connection() as conn, conn.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(query.encode(), params).fetchall()

    def value(self, query: str, *params: Any) -> Any:
        """The first value of a query."""
        return self.rows(query, *params)[0][0]
