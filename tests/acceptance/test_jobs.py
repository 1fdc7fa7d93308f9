"""Jobs over HTTP: submit, look, list, and what else a client is told."""

from __future__ import annotations

import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from local.hosts import Host
from tests.acceptance.client import Api, Json, problem_of

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


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed; the next test posts as it does")
def test_plain_curl_works(host: Host, api: Api) -> None:
    command = ["curl", "-sS", "-d", '{"n": 2, "message": "from curl"}', f"{host.url}/jobs/hello_world"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    job_id = re.search(r'"job_id": "([0-9a-f]{32})"', done.stdout)
    assert job_id, done.stdout
    assert api.follow(job_id[1])["result_data"]["messages"] == ["from curl"] * 2


def test_no_body_means_the_defaults(api: Api) -> None:
    job = api.follow(api.post("jobs/hello_world").json()["job_id"])
    assert job["result_data"]["messages"] == ["Hello World"]


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


def test_a_job_type_is_shown_with_an_example_that_is_accepted(api: Api) -> None:
    answer = api.get("job-types/hello_world")
    shown = answer.json()
    assert shown in api.get("job-types").json()["job_types"]
    assert set(shown["parameters"]["properties"]) == {"n", "message"}
    assert set(shown["labels"]) == {"dataset_id", "resource_id", "version_id", "system"}
    assert api.get("job-types/hello_world", headers={"If-None-Match": answer.headers["ETag"]}).status_code == 304
    links = {link["rel"]: link["href"] for link in shown["links"]}
    assert api.get(links["self"]).json() == shown
    job = api.follow(api.post(links["submit"], json={**shown["example"], "version_id": "a label"}).json()["job_id"])
    assert (job["status"], job["parameters"]["version_id"]) == ("completed", "a label")


def test_an_unknown_job_type_is_a_404_that_names_the_others(api: Api) -> None:
    for path in ("job-types/hello_wrld", "job-types/..%2Fjobs", "job-types/%F0%9F%8C%8D"):
        body = problem_of(api.get(path), 404, "unknown_job_type")
        assert "hello_world" in body["remediation"]


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
