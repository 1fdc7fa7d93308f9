"""Health by parts: each has its own state, and one that hangs holds nobody up."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from controllers.http.health import Health
from schema.errors import Unavailable
from schema.jobs import Json


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds a check until the test is over."""
    opened = threading.Event()
    yield opened
    opened.set()


def ok() -> Json:
    return {"status": "ok"}


def test_all_parts_are_well() -> None:
    healthy, report = Health({"one": ok, "two": ok}).look()
    assert (healthy, report["status"]) == (True, "ok")
    assert [part["status"] for part in report["checks"].values()] == ["ok", "ok"]


@pytest.mark.parametrize("state", ["waiting", "attention"])
def test_what_waits_or_wants_attention_can_still_work(state: str) -> None:
    healthy, _ = Health({"one": lambda: {"status": state}}).look()
    assert healthy


@pytest.mark.parametrize("state", ["stale", "missing", "unavailable"])
def test_one_part_that_cannot_work_is_enough(state: str) -> None:
    healthy, report = Health({"one": ok, "two": lambda: {"status": state}}).look()
    assert (healthy, report["status"], report["checks"]["one"]["status"]) == (False, "unavailable", "ok")


def test_a_check_that_hangs_is_given_up_and_the_others_are_told(gate: threading.Event) -> None:
    def hang() -> Json:
        gate.wait(60)
        return ok()

    health = Health({"hangs": hang, "well": ok}, limit_seconds=0.2)
    healthy, report = health.look()
    assert not healthy
    assert report["checks"]["well"]["status"] == "ok"
    assert "no answer within 0.2 s" in report["checks"]["hangs"]["message"]


def test_a_check_that_hangs_is_not_started_again_until_it_has_come_back(gate: threading.Event) -> None:
    started: list[int] = []

    def hang() -> Json:
        started.append(1)
        gate.wait(60)
        return ok()

    health = Health({"hangs": hang, "well": ok}, limit_seconds=0.05)
    for _ in range(5):
        health.look()
    assert len(started) == 1
    gate.set()
    while not health.look()[0]:
        assert len(started) < 50
    assert len(started) >= 1


def test_what_breaks_a_check_is_a_state_and_stays_in_the_log() -> None:
    def away() -> Json:
        raise Unavailable("The queue cannot be reached.", remediation="Wait.")

    def bug() -> Json:
        raise ValueError("password=hunter2")

    _, report = Health({"away": away, "bug": bug}).look()
    assert report["checks"]["away"]["message"] == "The queue cannot be reached."
    assert report["checks"]["bug"]["status"] == "unavailable"
    assert "hunter2" not in str(report)
