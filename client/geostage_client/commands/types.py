"""types: which jobs there are, and what they take."""

from __future__ import annotations

import difflib
from argparse import Namespace

from geostage_client.api import Api, Json, type_path
from geostage_client.errors import ClientError
from geostage_client.job_types import HEADERS, example_command, parameter_rows
from geostage_client.session import Session


def types(session: Session, options: Namespace) -> int:
    """List the job types, or show one with its parameters."""
    if options.job_type is None:
        listed: list[Json] = session.api.get("job-types")["job_types"]
        session.output.document({"job_types": listed})
        session.output.table(("type", "what it does"), [(one["job_type"], one["description"]) for one in listed])
        session.output.line("\ngeostage types TYPE shows its parameters.")
        return 0
    found = find_type(session.api, options.job_type)
    session.output.document({"job_type": found})
    session.output.line(f"{found['job_type']}: {found['description']}")
    session.output.line()
    session.output.table(HEADERS, parameter_rows(found["parameters"]))
    session.output.line()
    session.output.line(example_command(found))
    return 0


def find_type(api: Api, name: str) -> Json:
    """Return a job type with the JSON Schema of its parameters. Raises ClientError with the names that are near."""
    type_path(name)
    try:
        return api.get(f"job-types/{name}")
    except ClientError as exc:
        if exc.code == "unknown_job_type":
            listed = [one["job_type"] for one in api.get("job-types")["job_types"]]
            like = difflib.get_close_matches(name, listed, n=3)
            exc.remedy = f"Is it {' or '.join(like)}?" if like else "geostage types lists them."
        raise
