"""The OpenAPI document holds: what it allows and what it does not, asked of a running host, never ends in a 500.

The examples are the same in every run.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote_plus, urlsplit

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from controllers import CONTROLLERS
from controllers.http.openapi import document
from local.hosts import Host
from tests.acceptance.client import ENDED, LEAKS, Api

EXAMPLES = 8
KEYED = "/jobs/hello_world"
MOST_GREETINGS = 3
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OURS = ("task_error", "controller_error", "internal_error", "worker_died", "process_died")
"""Codes of jobs that met a fault of Geostage."""
accepted: list[str] = []


DOCUMENT = document(CONTROLLERS)
api_schema = schemathesis.openapi.from_dict(DOCUMENT)
api_schema.config.phases.coverage.unexpected_methods = set()


def test_the_host_serves_the_document(api: Api) -> None:
    assert api.get("openapi.json").json() == DOCUMENT


@api_schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_no_request_ends_in_a_500(case: Any, host: Host) -> None:
    if isinstance(case.body, dict) and isinstance(case.body.get("n"), int):
        # A thousand greetings at once would show nothing more than a few, but later.
        case.body["n"] = min(case.body["n"], MOST_GREETINGS)
    if case.path != KEYED:
        # The same key with every body would be a conflict and hide what the body does.
        case.headers.pop("Idempotency-Key", None)
    answer = case.call(base_url=host.url)
    case.validate_response(answer, checks=CHECKS)
    # The names of unknown parameters are told, whatever they are.
    asked = urlsplit(answer.request.url or "")
    sent = f"{unquote_plus(asked.path)} {unquote_plus(asked.query)} {answer.request.headers} {answer.request.body!r}"
    assert not [leak[0] for leak in LEAKS.finditer(answer.text) if leak[0] not in sent], answer.text
    if answer.status_code == 202:
        accepted.append(answer.json()["job_id"])


@pytest.fixture
def jobs(api: Api) -> list[dict[str, Any]]:
    """The jobs that were accepted, at their ends."""
    return [api.follow(job_id) for job_id in dict.fromkeys(accepted)]


def test_no_job_that_was_accepted_met_a_fault_of_ours(jobs: list[dict[str, Any]]) -> None:
    assert {job["job_type"] for job in jobs} >= {"hello_world", "database_health"}
    assert all(job["status"] in ENDED for job in jobs)
    assert not [job for job in jobs if (job["error"] or {}).get("code") in OURS]
