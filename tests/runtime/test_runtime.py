"""function_app.py on the real runtime engine: it is listed, and HTTP, queues and the timer work."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import psycopg
import pytest
from azure.storage.blob import BlobServiceClient
from psycopg import sql

from controllers.engine.sweep import SCHEDULE
from local import samples
from local.stack import Stack
from schema.messages import JOB_QUEUE, POISON_SUFFIX, QUEUES
from tests.runtime.host import InvocationError, RuntimeHost

COUNTRIES = 177
PAST = "clock_timestamp() - interval '1 minute'"


def test_every_queue_has_a_function_and_its_poison_queue_too(runtime: RuntimeHost) -> None:
    listening = [function.trigger["queueName"] for function in runtime.of_type("queueTrigger").values()]
    assert sorted(listening) == sorted(queue + suffix for queue in QUEUES for suffix in ("", POISON_SUFFIX))


def test_the_sweep_is_the_only_timer(runtime: RuntimeHost) -> None:
    timers = {name: function.trigger["schedule"] for name, function in runtime.of_type("timerTrigger").items()}
    assert timers == {"sweep": SCHEDULE}


def test_the_engine_knows_every_route_that_is_documented_and_no_other(runtime: RuntimeHost) -> None:
    paths = runtime.request("GET", "/api/openapi.json").json()["paths"]
    described = {(method.upper(), path) for path, item in paths.items() for method in item if method != "parameters"}
    job_types = [one["job_type"] for one in runtime.request("GET", "/api/job-types").json()["job_types"]]
    served = {
        (method.upper(), f"/{function.trigger['route']}".replace("{job_type}", job_type) if method == "POST" else path)
        for function in runtime.of_type("httpTrigger").values()
        for path in [f"/{function.trigger['route']}"]
        for method in function.trigger["methods"]
        for job_type in (job_types if "{job_type}" in path else [""])
    }
    assert described == served


def test_health_is_answered(runtime: RuntimeHost) -> None:
    answer = runtime.request("GET", "/api/health")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json()["status"] == "ok"


def test_headers_arrive_and_leave(runtime: RuntimeHost) -> None:
    first = runtime.request("GET", "/api/job-types")
    again = runtime.request("GET", "/api/job-types", If_None_Match=first.headers["etag"])
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", first.headers["etag"])


def test_a_query_is_read(runtime: RuntimeHost) -> None:
    answer = runtime.request("GET", "/api/jobs?limit=none")
    assert answer.status == 400
    assert [fault["field"] for fault in answer.json()["errors"]] == ["limit"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", "/api/jobs/hello_world", b'{"n": 0}', 400, "invalid_parameters"),
        ("POST", "/api/jobs/hello_world", b"\xff", 400, "invalid_json"),
        ("POST", "/api/jobs/nonsense", b"{}", 404, "unknown_job_type"),
        ("GET", "/api/jobs/" + "0" * 32, b"", 404, "job_not_found"),
        ("POST", "/api/jobs/" + "0" * 32 + "/cancel", b"", 404, "job_not_found"),
    ],
)
def test_a_refusal_is_a_problem(
    runtime: RuntimeHost, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    answer = runtime.request(method, path, body)
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"


def test_hello_world_sequential_completes(runtime: RuntimeHost, name: str) -> None:
    job = runtime.run("hello_world_sequential", {"n": 3, "message": f"Grüße {name}"})
    assert job["status"] == "completed", job["error"]
    assert [stage["task_count"] for stage in job["stage_history"]] == [3, 1, 3]
    assert job["result_data"]["stage_conversations"][0]["stage1_message"].count(f"Grüße {name}") == 1


def test_a_vector_file_becomes_a_table(
    runtime: RuntimeHost, own_stack: Stack, blobs: BlobServiceClient, name: str, tmp_path: Path
) -> None:
    samples.countries(tmp_path / "countries.gpkg", "GPKG")
    blobs.create_container(f"vector-{name}").upload_blob("countries.gpkg", (tmp_path / "countries.gpkg").read_bytes())
    table = f"countries_{name.replace('-', '_')}"
    source = {"dataset_id": f"vector-{name}", "resource_id": "countries.gpkg", "target_table": table}
    job = runtime.run("process_vector", {**source, "chunk_size": 100})
    assert job["status"] == "completed", job["error"]
    assert [stage["task_count"] for stage in job["stage_history"]] == [1, 2, 1]
    with psycopg.connect(own_stack.postgres_dsn) as connection:
        query = sql.SQL("SELECT count(*), count(DISTINCT name) FROM {}").format(sql.Identifier("geo", table))
        assert connection.execute(query).fetchone() == (COUNTRIES, COUNTRIES)


def test_a_raster_becomes_a_cog_and_an_item(
    runtime: RuntimeHost, own_stack: Stack, blobs: BlobServiceClient, name: str, tmp_path: Path
) -> None:
    samples.elevation(tmp_path / "dem.tif")
    blobs.create_container(f"raster-{name}").upload_blob("dem.tif", (tmp_path / "dem.tif").read_bytes())
    job = runtime.run("process_raster", {"dataset_id": f"raster-{name}", "resource_id": "dem.tif"})
    assert job["status"] == "completed", job["error"]
    container, _, blob = job["result_data"]["cog_path"].partition("/")
    assert blobs.get_blob_client(container, blob).download_blob().readall()[:2] == b"II"
    with psycopg.connect(own_stack.postgres_dsn) as connection:
        found = connection.execute("SELECT id FROM pgstac.items WHERE collection = %s", [f"raster-{name}"]).fetchall()
    assert found == [(job["result_data"]["stac_id"],)]


def test_the_timer_sends_again_what_was_lost(runtime: RuntimeHost, own_stack: Stack, name: str) -> None:
    runtime.deliver()
    body = json.dumps({"message": f"lost {name}"}).encode()
    job_id = runtime.request("POST", "/api/jobs/hello_world", body).json()["job_id"]
    queue = runtime.queue(JOB_QUEUE)
    for message in queue.receive(32, 600):
        queue.delete(message)
    assert runtime.deliver() == 0
    with psycopg.connect(own_stack.postgres_dsn) as connection:
        connection.execute(f"UPDATE app.sweep SET swept_at = {PAST}")
        connection.execute(f"UPDATE app.jobs SET resend_at = {PAST} WHERE job_id = %s", [job_id])
    runtime.tick("sweep")
    assert runtime.finish(job_id)["status"] == "completed"


def test_a_message_that_cannot_be_read_fails_its_invocation_and_is_kept_as_poison(
    runtime: RuntimeHost, name: str
) -> None:
    runtime.deliver()
    content = f"kein Auftrag: ü {name}"
    waiting, poison = runtime.queue(JOB_QUEUE), runtime.queue(JOB_QUEUE + POISON_SUFFIX)
    for queue in (waiting, poison):
        queue.put(base64.b64encode(content.encode()).decode())
    (message,) = waiting.receive(1, 600)
    with pytest.raises(InvocationError, match=r"MessageError: The message is not JSON\."):
        runtime.queue_message("on_job", message)
    waiting.delete(message)
    assert runtime.deliver() == 1
    kept = runtime.request("GET", "/api/monitor/poison").json()["messages"]
    assert [(one["queue"], one["content"]) for one in kept] == [(JOB_QUEUE, content)]
    dropped = runtime.request("POST", "/api/monitor/poison", b'{"action": "drop", "all": true}')
    assert (dropped.status, dropped.json()) == (200, {"action": "drop", "messages": 1, "left": 0})
