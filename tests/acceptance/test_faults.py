"""What a client sees when jobs fail, are cancelled, or the servers go away: on a stack of its own."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator

import httpx
import psycopg
import pytest
from azure.storage.queue import QueueServiceClient

from local.paths import PROJECT
from local.stack import Stack
from repositories import inventory
from repositories.catalog import items, statistics
from repositories.postgres import Database
from tests.acceptance.client import Api, Json, problem_of
from tests.acceptance.conftest import client_of
from tests.fixtures.items import make_item, write_items
from tests.fixtures.waiting import eventually

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def running(probed: Api) -> Iterator[str]:
    """A job of three tasks that run for a long time, one after the other: there is one worker."""
    job_id = probed.submit("probe", {"n": 3, "seconds": 60})
    eventually(lambda: probed.job(job_id)["tasks"].get("1", {}).get("processing"))
    yield job_id
    probed.post(f"jobs/{job_id}/cancel")


def test_a_running_job_is_cancelled_once_and_for_all(probed: Api, running: str) -> None:
    first = probed.post(f"jobs/{running}/cancel")
    assert (first.status_code, first.json()["status"]) == (200, "cancelled")
    again = probed.post(f"jobs/{running}/cancel")
    assert (again.status_code, again.json()["status"]) == (200, "cancelled")
    job = probed.job(running)
    assert job["status"] == "cancelled"
    assert job["tasks"]["1"] == {"queued": 0, "processing": 0, "completed": 0, "failed": 0, "cancelled": 3}
    assert job["finished_at"]
    problem_of(probed.post(f"jobs/{running}/retry"), 409, "not_failed")
    # The handler notices at its next look.
    eventually(lambda: len([1 for line in probed.log_lines(running) if line["action"] == "abandon"]) == 1, 30)
    assert probed.job(running)["tasks"] == job["tasks"]


def test_a_running_job_explains_what_it_waits_for(probed: Api, running: str) -> None:
    explained = probed.get(f"jobs/{running}/explain").json()
    assert explained["status"] == "processing"
    assert "1 of 3 task(s) running, 2 waiting" in explained["summary"]
    first, *others = explained["waiting_for"]
    assert first["why"].startswith("Running for")
    assert [wait["why"].partition(";")[0] for wait in others] == ["Waits for a worker"] * 2
    assert explained["next_step"]["href"] == f"/api/jobs/{running}/cancel"


def test_a_running_job_says_when_to_ask_again(probed: Api, running: str) -> None:
    answer = probed.get(f"jobs/{running}")
    assert int(answer.headers["Retry-After"]) >= 1
    assert "cancel" in {link["rel"] for link in answer.json()["links"]}
    problem_of(probed.post(f"jobs/{running}/retry"), 409, "not_failed")


@pytest.fixture
def failed(probed: Api) -> Json:
    """A job whose task failed at its first and only try, though another try would do."""
    return probed.run("probe", {"fail": "first", "n": 1}, traceparent=TRACE)


def test_a_failed_job_says_what_to_do(probed: Api, failed: Json) -> None:
    assert failed["status"] == "failed"
    error = failed["error"]
    assert set(error) == {
        *("code", "category", "message", "remediation", "retryable", "user_fixable", "task_id", "stage_n", "attempt"),
    }
    assert (error["code"], error["retryable"], error["attempt"]) == ("task_error", True, 1)
    assert error["task_id"] == f"{failed['job_id']}-1-0001"
    assert f"POST /api/jobs/{failed['job_id']}/retry" in error["remediation"]
    for secret in ("hunter2", "db.internal"):
        assert secret not in str(failed)
        assert secret not in str(probed.log_lines(failed["job_id"]))
    explained = probed.get(f"jobs/{failed['job_id']}/explain").json()
    assert explained["next_step"]["href"] == f"/api/jobs/{failed['job_id']}/retry"
    assert explained["failed_tasks"][0]["error"] == error
    assert {line.get("traceparent") for line in probed.log_lines(failed["job_id"])} == {TRACE}
    assert [job["job_id"] for job in probed.get("jobs?status=failed&limit=1").json()["jobs"]] == [failed["job_id"]]


def test_a_retry_goes_on_where_the_job_failed(probed: Api, failed: Json) -> None:
    answer = probed.post(f"jobs/{failed['job_id']}/retry")
    assert answer.status_code == 202, answer.text
    assert answer.headers["Location"] == f"/api/jobs/{failed['job_id']}"
    job = probed.follow(failed["job_id"])
    assert (job["status"], job["error"], job["progress"]) == ("completed", None, 100)
    (task,) = probed.tasks(failed["job_id"])
    assert (task["attempt"], task["result"]) == (2, {"attempt": 2})


def test_a_retry_meets_a_live_job_that_does_the_same_work(probed: Api) -> None:
    given = {"n": 1, "seconds": 1, "fail": "first"}
    first = probed.run("probe", given)["job_id"]
    second = probed.submit("probe", given)
    problem_of(probed.post(f"jobs/{first}/retry"), 409, "same_work")
    probed.post(f"jobs/{second}/cancel")


def test_a_job_that_failed_for_good_is_not_retried(probed: Api) -> None:
    job = probed.run("probe", {"fail": "for_good", "n": 2})
    assert (job["status"], job["error"]["code"], job["error"]["user_fixable"]) == ("failed", "invalid_input", True)
    assert job["error"]["remediation"] == "Send another input."
    eventually(lambda: "retry" not in {link["rel"] for link in probed.job(job["job_id"])["links"]}, 30)
    body = problem_of(probed.post(f"jobs/{job['job_id']}/retry"), 409, "work_area_gone")
    assert "submit" in body["remediation"]
    step = probed.get(f"jobs/{job['job_id']}/explain").json()["next_step"]
    assert step == {
        "method": "POST",
        "href": "/api/jobs/probe",
        "why": "Send another input. Then submit the job again.",
    }


def test_what_was_poisoned_stays_visible(probed: Api, own_stack: Stack) -> None:
    with QueueServiceClient.from_connection_string(own_stack.storage_connection_string) as service:
        service.get_queue_client("geo-light-tasks").send_message(base64.b64encode(b"garbage \xff").decode())
        service.get_queue_client("geo-jobs").send_message(base64.b64encode(b'{"job_id": 5}').decode())
        # Neither of the two is base64, and the second is not even ASCII.
        service.get_queue_client("geo-vector-tasks").send_message("who wrote this?")
        service.get_queue_client("geo-raster-tasks").send_message("\N{SATELLITE} größer")
    page = eventually(lambda: len((found := probed.get("monitor/poison").json())["messages"]) >= 4 and found, 90)
    assert page["counts"] == dict.fromkeys(("geo-jobs", "geo-light-tasks", "geo-raster-tasks", "geo-vector-tasks"), 1)
    contents = {entry["queue"]: entry["content"] for entry in page["messages"]}
    assert contents == {
        "geo-jobs": '{"job_id": 5}',
        "geo-light-tasks": "garbage \ufffd",
        "geo-raster-tasks": "\N{SATELLITE} größer",
        "geo-vector-tasks": "who wrote this?",
    }
    assert all("Geostage did not write" in entry["note"] for entry in page["messages"])
    first = probed.get("monitor/poison?limit=1").json()
    second = probed.get(first["links"][0]["href"].replace("limit=1", "limit=3")).json()
    assert [entry["queue"] for entry in first["messages"] + second["messages"]] == [
        entry["queue"] for entry in page["messages"]
    ]
    assert second["links"] == []
    assert probed.get("health").json()["checks"]["poison"]["counts"] == page["counts"]
    assert probed.run("probe", {"n": 1, "seconds": 0.01})["status"] == "completed"
    for entry in page["messages"]:
        one = {"poison_id": entry["poison_id"]}
        problem_of(probed.post("monitor/poison", json={"action": "requeue", **one}), 409, "unreadable_message")
    dropped = probed.post("monitor/poison", json={"action": "drop", **one})
    assert (dropped.status_code, dropped.json()) == (200, {"action": "drop", "messages": 1, "left": 3})
    problem_of(probed.post("monitor/poison", json={"action": "drop", **one}), 404, "poison_not_found")
    rest = probed.post("monitor/poison", json={"action": "drop", "all": True}).json()
    assert rest == {"action": "drop", "messages": 3, "left": 0}
    assert probed.get("monitor/poison").json()["messages"] == []


def test_a_poisoned_wake_up_is_put_back_and_does_no_harm(probed: Api, own_stack: Stack) -> None:
    job_id = probed.run("probe", {"n": 1, "seconds": 0.02})["job_id"]
    task_id = f"{job_id}-1-0001"
    with QueueServiceClient.from_connection_string(own_stack.storage_connection_string) as service:
        text = base64.b64encode(f'{{"task_id": "{task_id}"}}'.encode()).decode()
        service.get_queue_client("geo-light-tasks-poison").send_message(text)
    (entry,) = eventually(lambda: probed.get("monitor/poison").json()["messages"], 90)
    assert (entry["task_id"], entry["job_id"], entry["job_status"]) == (task_id, job_id, "completed")
    answer = probed.post("monitor/poison", json={"action": "requeue", "all": True})
    assert answer.json() == {"action": "requeue", "messages": 1, "left": 0}
    # A completed task needs no wake-up: nothing happens to it.
    assert probed.job(job_id)["tasks"]["1"]["completed"] == 1


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "action"),
        ({"action": "burn", "all": True}, "action"),
        ({"action": "drop"}, ""),
        ({"action": "drop", "all": False}, ""),
        ({"action": "drop", "all": True, "poison_id": 1}, ""),
        ({"action": "drop", "poison_id": "1"}, "poison_id"),
        ({"action": "drop", "poison_id": 0}, "poison_id"),
        ({"action": "drop", "all": True, "queue": "geo-jobs"}, "queue"),
    ],
)
def test_what_is_to_be_done_with_poison_must_be_said(probed: Api, body: Json, field: str) -> None:
    problem = problem_of(probed.post("monitor/poison", json=body), 400, "invalid_parameters")
    assert field in [fault["field"] for fault in problem["errors"]]
    problem_of(probed.post("monitor/poison?limit=1", json={"action": "drop", "all": True}), 400,
               "unknown_query_parameter")  # fmt: skip


def test_health_tells_of_every_part(probed: Api) -> None:
    answer = probed.get("health")
    report = answer.json()
    assert (answer.status_code, report["status"]) == (200, "ok")
    assert set(report["checks"]) == {"database", "migrations", "queues", "containers", "sweep", "poison"}
    assert {report["checks"]["containers"][role] for role in ("output", "work")} <= {"ok", "waiting"}


def test_a_job_posted_while_the_queues_are_away_is_started_later(probed: Api, own_stack: Stack) -> None:
    # Its storage is a port where nothing listens; the rows are those of the host that works.
    away = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:1", own_stack.storage_connection_string)
    host = own_stack.start_host(workers=1, env={"AzureWebJobsStorage": away})
    try:
        with client_of(host) as api:
            answer = api.post("jobs/hello_world", json={"n": 2, "message": "later"})
            body = problem_of(answer, 503, "queue_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            assert body["retryable"] is True
            (job_id,) = re.findall("[0-9a-f]{32}", body["detail"])
            assert api.job(job_id)["status"] == "queued"
            explained = api.get(f"jobs/{job_id}/explain").json()
            assert "has not been started" in explained["summary"]
            assert explained["start_message"]["content"] == {"job_id": job_id, "stage_n": 1}
            assert explained["start_message"]["state"] == "unsent"
            health = api.get("health")
            assert (health.status_code, health.json()["checks"]["queues"]["status"]) == (503, "unavailable")
            assert health.json()["checks"]["containers"]["status"] == "unavailable"
            assert health.json()["checks"]["database"]["status"] == "ok"
    finally:
        host.stop()
    assert probed.follow(job_id, seconds=75)["status"] == "completed"
    assert "resend" in {line["action"] for line in probed.log_lines(job_id)}


def test_a_restart_of_the_database_is_ridden_out(probed: Api, own_stack: Stack) -> None:
    # They outlast the restart: here a task is tried once, and one that ends without a database has had its try.
    job_id = probed.submit("probe", {"n": 2, "seconds": 8})
    eventually(lambda: probed.job(job_id)["tasks"].get("1", {}).get("processing"))
    own_stack.restart_postgres(immediate=True)
    # Connections of the last second are not looked at before they are used: a 503 or two, and Retry-After.
    time.sleep(1)
    assert probed.follow(job_id)["status"] == "completed"
    assert probed.run("probe", {"n": 1, "seconds": 0.03})["status"] == "completed"


def test_without_a_database_nothing_is_accepted_and_nothing_is_said(own_stack: Stack) -> None:
    dsn = "postgresql://geo_owner:hunter2@127.0.0.1:1/gis"
    host = own_stack.start_host(workers=1, env={"GEOSTAGE_POSTGRES_DSN": dsn})
    try:
        with client_of(host) as api:
            answer = api.post("jobs/hello_world", json={})
            problem_of(answer, 503, "database_unavailable")
            assert int(answer.headers["Retry-After"]) >= 1
            health = api.get("health")
            assert (health.status_code, health.json()["checks"]["database"]["status"]) == (503, "unavailable")
            assert health.json()["checks"]["queues"]["status"] == "ok"
            problem_of(api.get(f"jobs/{'0' * 32}"), 503, "database_unavailable")
            assert api.get("job-types").status_code == 200
    finally:
        host.stop()
    said = host.log.read_text()
    assert not [secret for secret in ("geo_owner", "hunter2", "127.0.0.1:1/", '"127.0.0.1", port 1') if secret in said]


def test_a_database_without_our_tables_is_said_to_be_so(own_stack: Stack) -> None:
    with psycopg.connect(own_stack.postgres_dsn, autocommit=True) as conn:
        conn.execute("DROP DATABASE IF EXISTS bare")
        conn.execute("CREATE DATABASE bare")
    bare = own_stack.postgres_dsn.rpartition("/")[0] + "/bare"
    host = own_stack.start_host(workers=1, env={"GEOSTAGE_POSTGRES_DSN": bare})
    try:
        health = httpx.get(f"{host.url}/health", timeout=30)
        assert health.status_code == 503
        assert "repositories.migrate" in health.json()["checks"]["database"]["remediation"]
        answer = httpx.post(f"{host.url}/jobs/hello_world", json={}, timeout=30)
        problem_of(answer, 503, "database_not_migrated")
    finally:
        host.stop()


def test_the_documented_rights_are_enough_for_the_app(own_stack: Stack) -> None:
    grants = re.search(
        r"```sql\n(CREATE ROLE geostage_app .*?)```", (PROJECT / "docs" / "operations.md").read_text(), re.DOTALL
    )
    assert grants
    with psycopg.connect(own_stack.postgres_dsn, autocommit=True) as conn:
        # Roles outlive the databases of an earlier run.
        conn.execute("DROP ROLE IF EXISTS geostage_app")
        conn.execute(grants[1].encode())
        conn.execute("ALTER ROLE geostage_app PASSWORD 'app'")
    address = own_stack.postgres_dsn.rpartition("@")[2]
    host = own_stack.start_host(workers=1, env={"GEOSTAGE_POSTGRES_DSN": f"postgresql://geostage_app:app@{address}"})
    try:
        with client_of(host) as api:
            assert api.get("health").status_code == 200
            # The other host takes messages too: jobs are run until this one has finished a task.
            for number in range(20):
                job = api.run("hello_world_sequential", {"n": 5, "message": f"as the app's role, {number}"})
                assert job["status"] == "completed"
                if any(line["level"] == "INFO" for line in api.log_lines("finish")):
                    break
            assert api.log_lines('"finish"')
            assert not api.log_lines("permission denied")
        _ask_everything(f"postgresql://geostage_app:app@{address}")
    finally:
        host.stop()


def _ask_everything(dsn: str) -> None:
    """Read the catalogue, write to it, and look at the server, as a role that may do so."""
    database = Database(dsn)
    try:
        write_items(database, [make_item("role", "one")])
        with items.reading(database, 10) as conn:
            assert [row["id"] for row in items.search(conn, items.Filters("role"), after=None, limit=5)] == ["one"]
            assert statistics.count(conn, "by_file_type", collection_id="role", limit=5)
            assert inventory.one(conn, "connections")["total"] >= 1
            assert inventory.many(conn, "bloat", limit=5) is not None
            assert inventory.one(conn, "count_catalog")["collections"] >= 1
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction), items.reading(database, 10) as conn:
            conn.execute("SELECT pgstac.delete_item('one', 'role')")
    finally:
        database.close()


def test_a_missing_setting_is_named(own_stack: Stack) -> None:
    host = own_stack.start_host(workers=1, env={"GEOSTAGE_MAX_ATTEMPTS": "many"})
    try:
        body = problem_of(httpx.get(f"{host.url}/health", timeout=30), 503, "not_configured")
        assert "GEOSTAGE_MAX_ATTEMPTS" in body["detail"]
        assert "many" not in body["detail"]
    finally:
        host.stop()
