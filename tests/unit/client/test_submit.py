"""Submitting a job to an API that cannot accept it at once."""

from __future__ import annotations

import json

import pytest

from geostage_client.api import Api
from geostage_client.errors import ClientError, Unreachable
from tests.unit.client.scripted import Answer, Server

PARAMETERS = {"n": 2}


def accepted(*, existing: bool = False) -> Answer:
    body = {"job_id": "01a22da0f89e77dca5f780b6222d007a", **({"existing": True} if existing else {})}
    return 202, {}, json.dumps(body)


def unavailable(code: str, category: str = "transient", **headers: str) -> Answer:
    problem = {"code": code, "detail": "It cannot be reached.", "category": category}
    return 503, {"Content-Type": "application/problem+json", **headers}, json.dumps(problem)


def submitted(api: Api) -> tuple[dict[str, object], list[float], list[str]]:
    """Return the answer, the pauses, and the errors that were waited for."""
    slept: list[float] = []
    told: list[str] = []
    said = api.submit("hello_world", PARAMETERS, lambda error, _: told.append(error.code), sleep=slept.append)
    return said, slept, told


def test_an_overloaded_storage_is_waited_for_as_the_api_asks(server: Server, api: Api) -> None:
    busy = unavailable("storage_unavailable", **{"Retry-After": "10"})
    server.answers = [busy, busy, accepted()]
    said, slept, told = submitted(api)
    assert "job_id" in said
    assert (slept, told) == ([10.0, 10.0], ["storage_unavailable"] * 2)


def test_all_tries_of_a_submission_have_one_key_and_the_next_submission_another(server: Server, api: Api) -> None:
    server.answers = [unavailable("database_busy", **{"Retry-After": "1"}), accepted()]
    submitted(api)
    submitted(api)
    first, second, third = (asked["idempotency-key"] for asked in server.asked)
    assert first == second != third
    assert [json.loads(asked["body"]) for asked in server.asked] == [PARAMETERS] * 3


def test_a_job_whose_start_message_was_late_is_not_called_another_ones(server: Server, api: Api) -> None:
    server.answers = [unavailable("queue_unavailable", **{"Retry-After": "1"}), accepted(existing=True)]
    assert "existing" not in submitted(api)[0]


def test_a_job_that_ran_before_is_called_existing_after_a_wait_too(server: Server, api: Api) -> None:
    server.answers = [unavailable("storage_unavailable", **{"Retry-After": "1"}), accepted(existing=True)]
    assert submitted(api)[0]["existing"] is True


@pytest.mark.parametrize(
    "answer",
    [
        unavailable("storage_unavailable"),
        unavailable("not_configured", "configuration", **{"Retry-After": "10"}),
        (400, {"Content-Type": "application/problem+json", "Retry-After": "1"}, '{"code": "invalid", "detail": "No."}'),
    ],
)
def test_what_no_wait_would_help_is_told_at_once(server: Server, api: Api, answer: Answer) -> None:
    server.answers = [answer]
    with pytest.raises(ClientError):
        submitted(api)
    assert len(server.asked) == 1


@pytest.mark.parametrize(("seconds", "tries"), [("50", 3), ("0", 121)])
def test_an_api_that_stays_unavailable_is_told_after_two_minutes(
    server: Server, api: Api, seconds: str, tries: int
) -> None:
    server.answers = [unavailable("storage_unavailable", **{"Retry-After": seconds})]
    with pytest.raises(Unreachable, match="It cannot be reached"):
        submitted(api)
    assert len(server.asked) == tries
