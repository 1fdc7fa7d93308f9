"""Queries: what can be asked of jobs, tasks, job types and poisoned messages; nothing in here changes a row."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controllers.base import Controller
from controllers.engine.engine import find_controller, job_not_found
from controllers.http import schemas, views
from controllers.http.explain import explain_job
from repositories.jobs import jobs, poison, sweep, tasks
from repositories.postgres import Database
from schema.errors import InvalidRequest
from schema.jobs import JobStatus, Json, TaskStatus

PAGE = 50
MAX_PAGE = 500
FOREIGN_MESSAGE = (
    "Geostage did not write this message, so it cannot be sent again. Drop it, and find out which program writes to "
    "this queue."
)


@dataclass(frozen=True)
class Queries:
    """Answers to GET requests."""

    database: Database
    controllers: Mapping[str, Controller]

    def job(self, job_id: str) -> Json:
        """Show a job. Raises NotFound."""
        with self.database.connection() as conn:
            job = jobs.get_job(conn, job_id)
            if job is None:
                raise job_not_found(job_id)
            return views.job_view(job, tasks.count_tasks(conn, [job_id])[job_id])

    def jobs(self, query: Mapping[str, str]) -> Json:
        """List jobs, newest first: ?status=&job_type=&limit=&cursor=. Raises InvalidRequest."""
        status, job_type = query.get("status"), query.get("job_type")
        if status is not None and status not in set(JobStatus):
            raise _bad_query("status", f"must be one of {', '.join(JobStatus)}")
        if job_type is not None and job_type not in self.controllers:
            raise _bad_query("job_type", f"must be one of {', '.join(sorted(self.controllers))}")
        limit = _limit(query)
        before = views.decode_cursor(query["cursor"], (str,))[0] if query.get("cursor") else None
        with self.database.connection() as conn:
            # One more than is shown, here and below: whether there is a next page is known without counting.
            found = jobs.list_jobs(conn, status=status, job_type=job_type, before=before, limit=limit + 1)
            counts = tasks.count_tasks(conn, [job.job_id for job in found])
        page = found[:limit]
        cursor = views.encode_cursor(page[-1].job_id) if len(found) > limit else None
        items = [views.job_summary(job, counts[job.job_id]) for job in page]
        return {"jobs": items, "links": views.next_link("/api/jobs", query, cursor)}

    def tasks(self, job_id: str, query: Mapping[str, str]) -> Json:
        """List a job's tasks in order, each with its result: ?limit=&cursor=. Raises NotFound, InvalidRequest."""
        limit = _limit(query)
        after = views.decode_cursor(query["cursor"], (int, int)) if query.get("cursor") else (0, 0)
        with self.database.connection() as conn:
            if jobs.get_job(conn, job_id) is None:
                raise job_not_found(job_id)
            found = tasks.list_tasks(conn, job_id, after=(after[0], after[1]), limit=limit + 1)
        page = found[:limit]
        cursor = views.encode_cursor(page[-1].stage_n, page[-1].task_index) if len(found) > limit else None
        items = [views.task_view(task) for task in page]
        return {"tasks": items, "links": views.next_link(f"/api/jobs/{job_id}/tasks", query, cursor)}

    def explain(self, job_id: str) -> Json:
        """Explain why a job is where it is. Raises NotFound."""
        with self.database.connection() as conn:
            job = jobs.get_job(conn, job_id)
            if job is None:
                raise job_not_found(job_id)
            unfinished, now = tasks.unfinished_tasks(conn, job_id, job.current_stage_n)
            sweep_age = sweep.sweep_age(conn)
        failed = [task for task in unfinished if task.status is TaskStatus.FAILED]
        waiting = [task for task in unfinished if task.status in (TaskStatus.QUEUED, TaskStatus.PROCESSING)]
        return explain_job(job, waiting, failed, now, sweep_age)

    def job_types(self) -> Json:
        """List the job types with their stages and the JSON Schemas of their parameters."""
        return {"job_types": [views.job_type_view(self.controllers[name]) for name in sorted(self.controllers)]}

    def job_type(self, job_type: str) -> Json:
        """Show one job type. Raises NotFound."""
        return views.job_type_view(find_controller(self.controllers, job_type))

    def poison(self, query: Mapping[str, str]) -> Json:
        """Show what was poisoned, newest first, with the row that each message points at: ?limit=&cursor=."""
        limit = _limit(query)
        before = views.decode_cursor(query["cursor"], (int,))[0] if query.get("cursor") else None
        with self.database.connection() as conn:
            found = poison.page(conn, before=before, limit=limit + 1)
            counts = poison.count(conn)
        kept = [{**row, "note": None if row["job_id"] else FOREIGN_MESSAGE} for row in found[:limit]]
        cursor = views.encode_cursor(kept[-1]["poison_id"]) if len(found) > limit else None
        links = views.next_link("/api/monitor/poison", query, cursor)
        return schemas.PoisonPage.model_validate({"counts": counts, "messages": kept, "links": links}).as_json()


def _limit(query: Mapping[str, str]) -> int:
    # Digits alone: int() also reads "1_000", " 5" and the digits of other scripts.
    text = query.get("limit", str(PAGE))
    if not re.fullmatch("[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_PAGE:
        raise _bad_query("limit", f"must be a whole number from 1 to {MAX_PAGE}")
    return int(text)


def refuse_unknown(query: Mapping[str, str], known: Collection[str]) -> None:
    """Refuse query parameters that a route does not know. Raises InvalidRequest."""
    # With a filter's name mistyped the route would list everything.
    unknown = sorted(set(query) - {*known, views.KEY_PARAMETER})
    if unknown:
        raise InvalidRequest(
            f"Unknown query parameter(s): {', '.join(unknown)}.",
            errors=[{"field": name, "message": "there is no such query parameter"} for name in unknown],
            remediation=f"Use {', '.join(sorted(known))}." if known else "This route takes none.",
            code="unknown_query_parameter",
        )


def _bad_query(field: str, message: str) -> InvalidRequest:
    fault = {"field": field, "message": message}
    return InvalidRequest(f"The query parameter {field} {message}.", errors=[fault])
