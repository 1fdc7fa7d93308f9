"""Requests that are refused: each with its fault, and none as a fault of ours."""

from __future__ import annotations

import pytest
from azure.storage.blob import BlobServiceClient

from local.stack import Stack
from tests.acceptance.client import Api, problem_of
from tests.acceptance.conftest import client_of

NO_JOB = "0" * 32


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("jobs?status=done", "status"),
        ("jobs?job_type=hallo", "job_type"),
        ("jobs?limit=0", "limit"),
        ("jobs?limit=501", "limit"),
        ("jobs?limit=two", "limit"),
        (f"jobs?limit={'9' * 5000}", "limit"),
        ("jobs?limit=1&limit=2", "limit"),
        ("jobs?cursor=x", "cursor"),
        ("jobs?cursor=WyJcdTAwMDAiXQ", "cursor"),
        ("jobs?cursor=WzFd", "cursor"),
        ("monitor/poison?cursor=Wzk5OTk5OTk5OTk5OTk5OTk5OTk5OTld", "cursor"),
        ("jobs?state=failed", "state"),
        (f"jobs/{NO_JOB}?verbose=1", "verbose"),
        (f"jobs/{NO_JOB}/tasks?status=failed", "status"),
        (f"jobs/{NO_JOB}/explain?x=1", "x"),
        ("job-types?x=1", "x"),
        ("openapi.json?x=1", "x"),
        ("monitor/poison?x=1", "x"),
        ("health?x=1", "x"),
    ],
)
def test_a_query_that_no_route_knows_is_refused(api: Api, path: str, field: str) -> None:
    answer = api.get(path)
    body = problem_of(answer, 400, answer.json()["code"])
    assert [fault["field"] for fault in body["errors"]] == [field]


def test_a_submission_takes_no_query(api: Api) -> None:
    problem_of(api.post("jobs/hello_world?n=3", json={}), 400, "unknown_query_parameter")


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json", ""])
def test_the_body_is_json_whatever_its_type(api: Api, content_type: str) -> None:
    body = b'{"n": 0}'
    answer = api.post("jobs/hello_world", content=body, headers={"Content-Type": content_type})
    problem_of(answer, 400, "invalid_parameters")


def test_malformed_json_is_refused(api: Api) -> None:
    body = problem_of(api.post("jobs/hello_world", content=b'{"n": 3,'), 400, "invalid_json")
    assert "not JSON" in body["detail"]


def test_every_fault_is_listed(api: Api) -> None:
    given = {"n": "3", "mesage": "typo", "message": 5, "system": "x"}
    body = problem_of(api.post("jobs/hello_world", json=given), 400, "invalid_parameters")
    assert {fault["field"] for fault in body["errors"]} == {"n", "mesage", "message", "system"}
    for field in given:
        assert field in body["detail"]


@pytest.mark.parametrize("value", [b'"\\u0000"', b'"\\ud800"', b"NaN", b"1e999"])
def test_what_the_database_cannot_store_is_refused(api: Api, value: bytes) -> None:
    answer = api.post("jobs/hello_world", content=b'{"message": ' + value + b"}")
    assert answer.status_code == 400, answer.text


def test_a_body_over_a_megabyte_is_too_large(api: Api) -> None:
    content = b'{"message": "' + b"x" * 1_000_000 + b'"}'
    problem_of(api.post("jobs/hello_world", content=content), 413, "body_too_large")


@pytest.mark.parametrize("job_type", ["hallo", "Hello_World", "%00", "%ED%A0%80", "%C3%A9", "x" * 5000])
def test_a_job_type_that_does_not_exist_is_named(api: Api, job_type: str) -> None:
    body = problem_of(api.post(f"jobs/{job_type}", json={}), 404, "unknown_job_type")
    assert job_type[:90] in body["detail"] or "%" in job_type
    assert len(body["detail"]) < 200
    assert "hello_world" in body["remediation"]


@pytest.mark.parametrize("name", ["Idempotency-Key", "traceparent", "If-None-Match", "X-Other"])
@pytest.mark.parametrize("value", [b"\xe9\xff", b"'; DROP TABLE app.jobs; --", b'"', b"x" * 2000])
def test_no_header_is_a_fault_of_ours(api: Api, name: str, value: bytes) -> None:
    answer = api.post("jobs/hello_world", json={"n": 0}, headers=[(name.encode(), value)])
    assert answer.status_code == 400, answer.text
    for path in ("jobs?limit=1", f"jobs/{NO_JOB}", "job-types"):
        assert api.get(path, headers=[(name.encode(), value)]).status_code in (200, 404)
    accepted = api.post(
        "jobs/hello_world", json={"n": 1, "message": f"{name} {value!r}"}, headers=[(name.encode(), value)]
    )
    assert accepted.status_code in (202, 400), accepted.text


@pytest.mark.parametrize(
    "job_id", [NO_JOB, "nonsense", NO_JOB.upper().replace("0", "A"), f"{NO_JOB}%0A", "%00", "%ED%A0%80", "%C3%A9"]
)
def test_a_job_that_does_not_exist_is_named(api: Api, job_id: str) -> None:
    for method, path in (("GET", ""), ("GET", "/tasks"), ("GET", "/explain"), ("POST", "/cancel"), ("POST", "/retry")):
        ask = api.get if method == "GET" else api.post
        problem_of(ask(f"jobs/{job_id}{path}"), 404, "job_not_found")


@pytest.mark.parametrize(
    ("container", "code", "named"),
    [("nowhere", "container_not_found", "nowhere"), ("bronze-http", "blob_not_found", "folder/missing.gpkg")],
)
def test_a_source_that_does_not_exist_is_named(api: Api, stack: Stack, container: str, code: str, named: str) -> None:
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        existing = service.get_container_client("bronze-http")
        if not existing.exists():
            existing.create_container()
    given = {"dataset_id": container, "resource_id": "folder/missing.gpkg"}
    body = problem_of(api.post("jobs/process_vector", json=given), 404, code)
    assert named in body["detail"]
    assert body["remediation"]


@pytest.mark.parametrize("name", ["a", "UPPER CASE", "x" * 64, "-", "../secrets", "%00", "é", "a?sig=b"])
@pytest.mark.parametrize("field", ["dataset_id", "resource_id"])
def test_no_name_of_a_source_is_a_fault_of_ours(api: Api, field: str, name: str) -> None:
    given = {"dataset_id": "bronze-http", "resource_id": "missing.gpkg", field: name}
    answer = api.post("jobs/process_vector", json={**given, "resource_id": f"{given['resource_id']}.gpkg"})
    assert answer.status_code in (400, 404), answer.text


@pytest.mark.parametrize("container", ["geostage-work", "azure-webjobs-hosts"])
def test_containers_of_the_deployment_are_no_source(api: Api, container: str) -> None:
    given = {"dataset_id": container, "resource_id": "a.gpkg"}
    body = problem_of(api.post("jobs/process_vector", json=given), 400, "invalid_parameters")
    assert body["errors"] == [
        {
            "field": "dataset_id",
            "message": f"{container} is reserved for Geostage's own files; name a container that holds yours",
        }
    ]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", f"jobs/{NO_JOB}/cancel"),
        ("GET", f"jobs/{NO_JOB}/retry"),
        ("DELETE", f"jobs/{NO_JOB}"),
        ("PUT", "jobs/hello_world"),
        ("POST", "jobs"),
        ("POST", "health"),
        ("GET", "nothing"),
        ("GET", ""),
    ],
)
def test_a_wrong_method_or_path_is_not_found(api: Api, method: str, path: str) -> None:
    assert api.client.request(method, path).status_code == 404


def test_the_log_holds_no_way_to_a_server(api: Api, stack: Stack) -> None:
    said = api.log.read_text()
    assert '"action": "end"' in said
    secrets = [stack.postgres_dsn, stack.postgres_dsn.split(":")[2].partition("@")[0], "AccountKey", "devstoreaccount"]
    ports = [f"127.0.0.1:{port}" for name, port in stack.state.ports.items()]
    assert not [secret for secret in [*secrets, *ports] if secret in said]


def test_with_keys_every_route_asks_for_one_but_health(stack: Stack) -> None:
    host = stack.start_host(workers=1, auth=True)
    try:
        with client_of(host) as locked:
            for path in ("jobs", f"jobs/{NO_JOB}", "job-types", "openapi.json", "monitor/poison"):
                assert locked.get(path).status_code == 401, path
                assert locked.get(path, headers={"x-functions-key": "wrong"}).status_code == 401
                assert locked.get(path, headers={"x-functions-key": host.key}).status_code in (200, 404)
            assert locked.post("jobs/hello_world", json={}).status_code == 401
            assert locked.get("health").status_code == 200
            for message in ("one", "two"):
                locked.post(f"jobs/hello_world?code={host.key}", json={"message": f"locked {message}"})
            page = locked.get(f"jobs?limit=1&code={host.key}").json()
            assert page["links"]
            assert host.key not in page["links"][0]["href"]
    finally:
        host.stop()
