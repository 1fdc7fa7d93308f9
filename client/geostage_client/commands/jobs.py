"""submit, jobs, show, follow, cancel, retry, explain."""

from __future__ import annotations

import re
import sys
from argparse import Namespace
from datetime import datetime
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from geostage_client.api import Json, job_path
from geostage_client.errors import ClientError
from geostage_client.parameters import parse_json
from geostage_client.report import failure_of
from geostage_client.session import Session

PAGE = 500
"""The most that the API gives at once."""
_JOB_CALL = re.compile(r"/api/jobs/([^/]+)/(retry|cancel)")


def submit(session: Session, options: Namespace) -> int:
    """Submit a job of any type; its parameters are JSON, or the name of a file after @, or stdin (-)."""
    text = options.parameters
    if text == "-":
        text = sys.stdin.read()
    elif text.startswith("@"):
        name = text[1:]
        try:
            text = Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) else "it is not text in UTF-8"
            raise ClientError(
                f"{name} cannot be read: {reason}.", remedy="Check the name.", code="file_unreadable"
            ) from exc
    return _submitted(session, session.submit(options.job_type, parse_json(text)), follow=options.follow)


def retry(session: Session, options: Namespace) -> int:
    """Try a failed job again."""
    return _submitted(session, session.api.post(job_path(options.job_id, "retry")), follow=options.follow)


def follow(session: Session, options: Namespace) -> int:
    """Follow a job to its end."""
    return _show(session, session.follow(options.job_id))


def show(session: Session, options: Namespace) -> int:
    """Show a job, and with --tasks its tasks. Whether the job failed is for `follow` to judge: it was shown."""
    job = session.api.job(options.job_id).job
    tasks = _pages(session, job_path(options.job_id, "tasks"), "tasks", {"limit": PAGE}) if options.tasks else []
    session.output.document({"job": job, **({"tasks": tasks} if options.tasks else {})})
    session.describe(job)
    if tasks:
        rows = [
            (task["task_id"], task["status"], task["tries"], str((task.get("error") or {}).get("message", "")))
            for task in tasks
        ]
        session.output.table(("task", "status", "tries", "error"), rows)
    return 0


def jobs(session: Session, options: Namespace) -> int:
    """List jobs, newest first."""
    query = {"status": options.status, "job_type": options.type, "limit": min(options.limit, PAGE)}
    found = _pages(session, "jobs", "jobs", {name: value for name, value in query.items() if value}, options.limit)
    session.output.document({"jobs": found})
    rows = []
    for job in found:
        created = datetime.fromisoformat(job["created_at"]).astimezone()
        when = created.strftime("%Y-%m-%d %H:%M:%S")
        rows.append((job["job_id"], job["job_type"], job["status"], f"{job['progress']} %", when))
    session.output.table(("job", "type", "status", "done", "created"), rows)
    return 0


def cancel(session: Session, options: Namespace) -> int:
    """Cancel a job."""
    said = session.api.post(job_path(options.job_id, "cancel"))
    session.output.document({"job": said})
    session.output.field("job", f"{said['job_id']} {said['job_type']}")
    session.output.field("status", said["status"])
    return 0


def explain(session: Session, options: Namespace) -> int:
    """Show why a job is where it is."""
    said = session.api.get(job_path(options.job_id, "explain"))
    session.output.document({"explain": said})
    session.output.field("job", f"{said['job_id']} {said['status']}")
    session.output.field("why", said["summary"])
    for task in said["waiting_for"]:
        session.output.field("waits for", f"{task['task_id']} ({task['task_type']}): {task['why']}")
    hidden = said["waiting_for_count"] - len(said["waiting_for"])
    if hidden > 0:
        session.output.field("", f"and {hidden} other tasks")
    for task in said["failed_tasks"]:
        session.output.field("failed", f"{task['task_id']}: {(task['error'] or {}).get('message', '')}")
    step = said["next_step"]
    if step:
        # As the command that makes the call, where there is one.
        call = _JOB_CALL.fullmatch(step["href"])
        command = f"geostage {call[2]} {call[1]}. " if call else ""
        command = "geostage health. " if step["href"] == "/api/health" else command
        session.output.field("next", f"{command}{step['why']}")
    return 0


def _submitted(session: Session, said: Json, *, follow: bool) -> int:
    if said.get("existing"):
        session.output.line("The same job is already running; no second one was started.")
    if follow:
        return _show(session, session.follow(said["job_id"]))
    session.output.document({"job": said})
    session.output.field("job", f"{said['job_id']} {said['job_type']}")
    session.output.field("status", said["status"])
    session.output.field("next", f"geostage follow {said['job_id']}")
    return 0


def _show(session: Session, job: Json) -> int:
    session.output.document({"job": job}, failure_of(job))
    failure = session.describe(job)
    return failure.exit_code if failure else 0


def _pages(session: Session, path: str, name: str, query: Json, limit: int | None = None) -> list[Json]:
    """Return the entries of a list, over as many pages as it takes to have `limit`, or all."""
    found: list[Json] = []
    while True:
        page = session.api.get(path, query)
        found += page[name]
        following = next((link["href"] for link in page["links"] if link["rel"] == "next"), None)
        if following is None or (limit is not None and len(found) >= limit):
            return found[:limit]
        query = {**query, "cursor": parse_qs(urlsplit(following).query)["cursor"][0]}
