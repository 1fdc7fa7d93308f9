"""The whole host, its processes and real Azurite, with a tiny function app."""

import base64
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from azure.storage.queue import QueueServiceClient

from local.errors import StackError
from local.hosts import Host
from local.stack import Stack
from tests.fixtures.waiting import eventually

APP = Path(__file__).parent / "tiny_app"


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes")


@pytest.fixture(scope="module")
def tiny(stack: Stack, notes: Path) -> Iterator[Host]:
    host = stack.start_host(workers=2, env={"TINY_OUT": str(notes)}, project=APP)
    yield host
    host.stop()


@pytest.fixture
def send(stack: Stack) -> Iterator[Callable[[str, str], None]]:
    with QueueServiceClient.from_connection_string(stack.storage_connection_string) as service:

        def send(queue: str, body: str) -> None:
            service.get_queue_client(queue).send_message(base64.b64encode(body.encode()).decode())

        yield send


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def test_all_workers_answer_on_one_port(tiny: Host) -> None:
    eventually(lambda: {int(httpx.get(f"{tiny.url}/pid").text) for _ in range(10)} == set(tiny.worker_pids()))


def test_requests_and_answers_pass_through(tiny: Host) -> None:
    answer = httpx.post(f"{tiny.url}/echo", content=b"\x00\xff", headers={"X-Sent": "yes"})
    assert (answer.status_code, answer.content, answer.headers["x-seen"]) == (201, b"\x00\xff", "yes")
    assert httpx.get(f"{tiny.url}/greet/a%20b?tone=x").text.startswith("a b x http://127.0.0.1:")
    assert httpx.get(f"{tiny.url}/echo").status_code == 404
    assert httpx.get(f"{tiny.url}/broken").status_code == 500


def test_a_message_is_worked_on_once_and_a_failing_one_is_poisoned(
    tiny: Host, notes: Path, send: Callable[[str, str], None]
) -> None:
    send("tiny-work", "fine")
    send("tiny-work", "fail")
    eventually(lambda: lines(notes / "poison"))
    assert tiny.running()
    assert sorted(lines(notes / "work")) == ["fail 1", "fail 2", "fine 1"]
    assert lines(notes / "poison") == ["fail"]


def test_a_timer_runs_in_one_worker_only(tiny: Host, notes: Path) -> None:
    ticks = eventually(lambda: lines(notes / "tick")[1:])
    assert len(set(ticks)) == 1
    assert int(ticks[0]) == tiny.worker_pids()[0]


def test_a_killed_worker_is_replaced(tiny: Host) -> None:
    first, second = tiny.worker_pids()
    os.kill(second, signal.SIGKILL)
    pids = eventually(lambda: len(tiny.worker_pids()) == 2 and second not in tiny.worker_pids() and tiny.worker_pids())
    assert pids[0] == first
    eventually(lambda: int(httpx.get(f"{tiny.url}/pid").text) == pids[1])


@pytest.mark.slow
def test_a_function_past_function_timeout_costs_the_worker(tiny: Host) -> None:
    before = set(tiny.worker_pids())
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"{tiny.url}/hang", timeout=30)
    eventually(lambda: len(set(tiny.worker_pids()) - before) == 1)


@pytest.mark.slow
def test_listeners_outlive_a_storage_outage(
    tiny: Host, stack: Stack, notes: Path, send: Callable[[str, str], None]
) -> None:
    pids = tiny.worker_pids()
    stack.stop_azurite()
    time.sleep(1.5)
    stack.start_azurite()
    send("tiny-work", "after the outage")
    eventually(lambda: "after the outage 1" in lines(notes / "work"))
    assert tiny.worker_pids() == pids
    assert tiny.log.read_text().count("Storage does not answer") <= 2


def test_the_supervisor_ends_with_all_of_its_workers(stack: Stack, notes: Path) -> None:
    host = stack.start_host(workers=1, env={"TINY_OUT": str(notes)}, project=APP)
    pid = host.worker_pids()[0]
    os.kill(stack.state.processes[host.name].pid, signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    host.stop()


def test_with_auth_the_key_is_asked_for(stack: Stack, notes: Path) -> None:
    host = stack.start_host(workers=1, env={"TINY_OUT": str(notes)}, project=APP, auth=True)
    try:
        assert httpx.get(f"{host.url}/greet/x").status_code == 401
        assert httpx.get(f"{host.url}/greet/x", headers={"x-functions-key": host.key}).status_code == 200
        assert httpx.get(f"{host.url}/pid").status_code == 200
    finally:
        host.stop()


def test_an_app_that_azure_would_refuse_does_not_start(stack: Stack, tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text((APP / "host.json").read_text())
    (tmp_path / "function_app.py").write_text(
        (APP / "function_app.py").read_text().replace('"tiny-work"', '"Tiny_Work"')
    )
    with pytest.raises(StackError, match="'Tiny_Work', which is not a valid queue name"):
        stack.start_host(workers=1, project=tmp_path)
