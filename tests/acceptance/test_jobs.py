"""Jobs over HTTP: submit, look, list, and what is refused."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from azure.storage.blob import BlobServiceClient
from openapi_spec_validator import OpenAPIV31SpecValidator

from local.hosts import Host
from local.stack import Stack
from tests.acceptance.client import Api, Json, problem_of
from tests.acceptance.conftest import client_of

NO_JOB = "0" * 32
JOB_KEYS = {
    *("job_id", "job_type", "status", "parameters", "stages", "current_stage_n", "current_stage", "stage_sequence"),
    *("stage_data", "stage_history", "progress", "tasks", "warnings", "result_data", "error"),
    *("created_at", "started_at", "updated_at", "finished_at", "links"),
}
TASK_KEYS = {
    *("task_id", "stage_n", "task_index", "task_type", "status", "attempt", "tries", "result", "error"),
    *("created_at", "started_at", "finished_at"),
}


@pytest.fixture(scope="module")
def done(api: Api) -> Json:
    """A completed job."""
    return api.run("hello_world", {"n": 7, "message": "done"})


def test_a_submitted_job_is_accepted_with_its_place(api: Api) -> None:
    answer = api.post("jobs/hello_world", json={"n": 1, "message": "accepted"})
    assert answer.status_code == 202
    body = answer.json()
    assert set(body) == {"job_id", "job_type", "status", "links"}
    assert re.fullmatch("[0-9a-f]{32}", body["job_id"])
    assert (body["job_type"], body["status"]) == ("hello_world", "queued")
    assert answer.headers["Location"] == f"/api/jobs/{body['job_id']}"
    assert int(answer.headers["Retry-After"]) >= 1
    assert {"rel": "self", "href": f"/api/jobs/{body['job_id']}", "method": "GET"} in body["links"]
    assert api.get(answer.headers["Location"]).json()["job_id"] == body["job_id"]


def test_a_job_shows_every_key(done: Json) -> None:
    assert set(done) == JOB_KEYS
    assert (done["status"], done["progress"], done["error"], done["warnings"]) == ("completed", 100, None, [])
    assert done["tasks"] == {"1": {"queued": 0, "processing": 0, "completed": 7, "failed": 0, "cancelled": 0}}
    (entry,) = done["stage_history"]
    assert set(entry) == {"stage_n", "stage", "task_count", "status", "completed_at", "duration_seconds"}
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    assert [link["rel"] for link in done["links"]] == ["self", "tasks", "explain"]
    assert all(link["href"].startswith("/api/") for link in done["links"])


def test_a_job_that_did_not_change_is_not_sent_again(api: Api, done: Json) -> None:
    first = api.get(f"jobs/{done['job_id']}")
    assert "Retry-After" not in first.headers
    again = api.get(f"jobs/{done['job_id']}", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
    assert api.get(f"jobs/{done['job_id']}", headers={"If-None-Match": '"other"'}).status_code == 200


def test_tasks_are_listed_in_pages(api: Api, done: Json) -> None:
    listed: list[Json] = []
    path = f"jobs/{done['job_id']}/tasks?limit=3"
    while path:
        page = api.get(path).json()
        assert 1 <= len(page["tasks"]) <= 3
        listed += page["tasks"]
        path = next((link["href"] for link in page["links"] if link["rel"] == "next"), "")
    assert [task["task_index"] for task in listed] == [1, 2, 3, 4, 5, 6, 7]
    assert all(set(task) == TASK_KEYS for task in listed)
    assert [task["result"]["hello_number"] for task in listed] == [1, 2, 3, 4, 5, 6, 7]
    assert {task["status"] for task in listed} == {"completed"}


def test_jobs_are_listed_newest_first_by_status_and_type(api: Api) -> None:
    ids = [api.run("hello_world_sequential", {"n": 1, "message": f"listed {i}"})["job_id"] for i in range(3)]
    found: list[str] = []
    path = "jobs?job_type=hello_world_sequential&status=completed&limit=2"
    for _ in range(2):
        page = api.get(path).json()
        assert {job["job_type"] for job in page["jobs"]} == {"hello_world_sequential"}
        assert {job["status"] for job in page["jobs"]} == {"completed"}
        found += [job["job_id"] for job in page["jobs"]]
        path = next((link["href"] for link in page["links"]), path)
    assert found[:3] == ids[::-1]
    assert api.get("jobs?status=failed&job_type=hello_world").json() == {"jobs": [], "links": []}


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


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed; the next test posts as it does")
def test_plain_curl_works(host: Host, api: Api) -> None:
    command = ["curl", "-sS", "-d", '{"n": 2, "message": "from curl"}', f"{host.url}/jobs/hello_world"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    job_id = re.search(r'"job_id": "([0-9a-f]{32})"', done.stdout)
    assert job_id, done.stdout
    assert api.follow(job_id[1])["result_data"]["messages"] == ["from curl"] * 2


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "application/json", ""])
def test_the_body_is_json_whatever_its_type(api: Api, content_type: str) -> None:
    body = b'{"n": 0}'
    answer = api.post("jobs/hello_world", content=body, headers={"Content-Type": content_type})
    problem_of(answer, 400, "invalid_parameters")


def test_no_body_means_the_defaults(api: Api) -> None:
    job = api.follow(api.post("jobs/hello_world").json()["job_id"])
    assert job["result_data"]["messages"] == ["Hello World"]


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
    assert body["errors"] == [{"field": "dataset_id", "message": f"{container} is reserved and never a source"}]


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


def test_the_same_work_is_the_same_job(api: Api) -> None:
    given = {"n": 1000, "message": "the same work"}
    first = api.submit("hello_world", given)
    again = api.post("jobs/hello_world", json={"message": "the same work", "n": 1000})
    assert again.status_code == 200
    assert again.json()["job_id"] == first
    assert again.json()["existing"] is True
    assert again.headers["Location"] == f"/api/jobs/{first}"
    assert api.post(f"jobs/{first}/cancel").status_code == 200
    # Without a key an ended job is no live one: the work is done anew.
    assert api.post(f"jobs/{api.submit('hello_world', given)}/cancel").status_code == 200


def test_many_posts_at_once_are_one_job(api: Api) -> None:
    def post(_: int) -> httpx.Response:
        return httpx.post(f"{api.client.base_url}jobs/hello_world", json={"n": 300, "message": "at once"}, timeout=30)

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(post, range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [202]
    (job_id,) = {answer.json()["job_id"] for answer in answers}
    assert api.follow(job_id)["tasks"]["1"]["completed"] == 300


def test_an_idempotency_key_finds_the_completed_job(api: Api) -> None:
    given: dict[str, Any] = {"n": 1, "message": "with a key"}
    key = {"Idempotency-Key": "order-4711"}
    job = api.run("hello_world", given, **key)
    again = api.post("jobs/hello_world", json=given, headers=key)
    assert (again.status_code, again.json()["job_id"], again.json()["existing"]) == (200, job["job_id"], True)
    assert again.json()["status"] == "completed"
    body = problem_of(api.post("jobs/hello_world", json={"n": 2}, headers=key), 409, "idempotency_key_reused")
    assert job["job_id"] in body["detail"]
    problem_of(
        api.post("jobs/hello_world", json=given, headers={"Idempotency-Key": "x" * 256}), 400, "invalid_parameters"
    )


def test_a_traceparent_stands_in_every_line_of_its_job(api: Api) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    job = api.run("hello_world_sequential", {"n": 2, "message": "traced"}, traceparent=trace)
    lines = api.log_lines(job["job_id"])
    assert {"submit", "start", "claim", "finish", "advance", "end"} <= {line["action"] for line in lines}
    assert {line.get("traceparent") for line in lines} == {trace}
    finished = [line for line in lines if line["action"] == "finish"]
    assert len(finished) == 5
    for line in finished:
        assert {"task_id", "attempt", "stage", "seconds"} <= set(line)


def test_a_malformed_traceparent_is_dropped(api: Api) -> None:
    job = api.run("hello_world", {"n": 1, "message": "untraced"}, traceparent="00-zz")
    assert not [line for line in api.log_lines(job["job_id"]) if "traceparent" in line]


def test_a_job_that_ended_can_be_neither_cancelled_nor_retried(api: Api, done: Json) -> None:
    body = problem_of(api.post(f"jobs/{done['job_id']}/cancel"), 409, "job_has_ended")
    assert "completed" in body["detail"]
    problem_of(api.post(f"jobs/{done['job_id']}/retry"), 409, "not_failed")


def test_a_completed_job_explains_itself(api: Api, done: Json) -> None:
    explained = api.get(f"jobs/{done['job_id']}/explain").json()
    assert explained["summary"] == "The job has ended: completed."
    assert (explained["waiting_for"], explained["next_step"]) == ([], None)


def test_job_types_show_their_schemas(api: Api) -> None:
    answer = api.get("job-types")
    types = {entry["job_type"]: entry for entry in answer.json()["job_types"]}
    assert {"hello_world", "hello_world_sequential"} <= set(types)
    assert types["hello_world_sequential"]["stages"] == ["initial_hello", "validation", "response"]
    assert types["hello_world"]["parameters"]["properties"]["n"]["maximum"] == 1000
    assert api.get("job-types", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304


def test_the_openapi_document_is_served_and_valid(api: Api) -> None:
    document = api.get("openapi.json").json()
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert {entry["job_type"] for entry in api.get("job-types").json()["job_types"]} == {
        path.removeprefix("/jobs/") for path in document["paths"] if re.fullmatch(r"/jobs/\w+", path)
    }


def test_health_reports_its_parts(api: Api) -> None:
    answer = api.get("health")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["status"] == "ok"
    assert set(body["checks"]) == {"database", "migrations", "queues", "containers", "sweep", "poison"}
    assert [body["checks"][part] for part in ("database", "queues")] == 2 * [{"status": "ok"}], "anybody may ask"
    assert body["checks"]["sweep"]["status"] in ("ok", "waiting")


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
