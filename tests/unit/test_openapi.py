"""The OpenAPI document is valid, and says what the routes do."""

from __future__ import annotations

import json

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

import controllers
from controllers.http import openapi, views
from schema.jobs import JobStatus
from tests.fixtures.factories import make_job

DOCUMENT = openapi.document(controllers.CONTROLLERS)


def test_a_validator_accepts_the_document() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []
    json.dumps(DOCUMENT)


def test_operation_ids_are_unique() -> None:
    ids = [
        op["operationId"] for item in DOCUMENT["paths"].values() for verb, op in item.items() if verb != "parameters"
    ]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("job_type", sorted(controllers.CONTROLLERS))
def test_each_job_type_has_its_parameters(job_type: str) -> None:
    body = DOCUMENT["paths"][f"/jobs/{job_type}"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["properties"]) == set(controllers.CONTROLLERS[job_type].Parameters.model_fields)
    assert body["additionalProperties"] is False
    assert "$defs" not in json.dumps(body)


def test_a_job_has_the_keys_of_the_schema() -> None:
    schema = DOCUMENT["components"]["schemas"]
    assert set(schema["Job"]["properties"]) == set(views.job_view(make_job(), {}))
    submission = views.submission_view(make_job(), existing=True)
    assert set(schema["Submission"]["properties"]) == set(submission)
    assert schema["JobStatus"]["enum"] == [status.value for status in JobStatus]


def test_only_health_needs_no_key() -> None:
    assert DOCUMENT["security"]
    free = [
        path
        for path, item in DOCUMENT["paths"].items()
        for op in item.values()
        if isinstance(op, dict) and op.get("security") == []
    ]
    assert free == ["/health"]
