"""Following a job: the server's pace, unchanged answers, and a server that is away for a while."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from geostage_client.api import Api, seconds_of
from geostage_client.errors import ClientError, Interrupted, Unreachable
from geostage_client.follow import DEFAULT_PAUSE, LONGEST_PAUSE, follow
from tests.unit.client.scripted import Answer, Server

JOB = "01a22da0f89e77dca5f780b6222d007a"
KEY = "s3cret-key"


def job(status: str = "processing", **headers: str) -> Answer:
    finished = None if status == "processing" else "2026-01-01T00:00:00+00:00"
    return 200, headers, json.dumps({"job_id": JOB, "status": status, "finished_at": finished})


def test_a_job_is_asked_for_at_the_servers_pace_and_only_for_what_is_new(server: Server, api: Api) -> None:
    slept: list[float] = []
    seen: list[str] = []
    server.answers = [
        job(ETag='"1"', **{"Retry-After": "3"}),
        (304, {"ETag": '"1"'}, ""),
        job(ETag='"2"', **{"Retry-After": "9999"}),
        job(ETag='"3"'),
        job("completed"),
    ]
    ended = follow(api, JOB, lambda job: seen.append(job["status"]), sleep=slept.append)
    assert ended["status"] == "completed"
    assert slept == [3.0, 3.0, LONGEST_PAUSE, DEFAULT_PAUSE]
    assert [asked.get("if-none-match") for asked in server.asked] == [None, '"1"', '"1"', '"2"', '"3"']
    assert seen == [*["processing"] * 4, "completed"]
    assert {asked["x-functions-key"] for asked in server.asked} == {KEY}
    assert {asked["path"] for asked in server.asked} == {f"/api/jobs/{JOB}"}


def test_a_server_that_is_away_for_a_while_does_not_end_it(server: Server, api: Api) -> None:
    slept: list[float] = []
    problem = json.dumps({"code": "unavailable", "detail": "Away."})
    server.answers = [
        job(),
        (503, {"Retry-After": "10", "Content-Type": "application/problem+json"}, problem),
        (502, {}, "<html>"),
        job("completed"),
    ]
    assert follow(api, JOB, lambda _: None, sleep=slept.append)["status"] == "completed"
    assert slept == [DEFAULT_PAUSE, 10.0, DEFAULT_PAUSE]


def test_a_server_that_stays_away_is_told_and_the_job_goes_on(server: Server, api: Api) -> None:
    server.answers = [(503, {}, "")]
    with pytest.raises(Unreachable) as caught:
        follow(api, JOB, lambda _: None, patience=0, sleep=lambda _: None)
    assert "The job goes on" in caught.value.message
    assert f"geostage follow {JOB}" in caught.value.remedy


def test_ctrl_c_says_that_the_job_goes_on_and_how_to_follow_it_again(server: Server, api: Api) -> None:
    def press(_: float) -> None:
        raise KeyboardInterrupt

    server.answers = [job()]
    with pytest.raises(Interrupted) as caught:
        follow(api, JOB, lambda _: None, sleep=press)
    assert caught.value.exit_code == 130
    assert "the job goes on" in caught.value.message
    assert f"geostage follow {JOB}" in caught.value.remedy


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ((401, {}, ""), "key_refused"),
        ((404, {}, "not here"), "unexpected_answer"),
        ((200, {}, "<html>"), "not_geostage"),
        ((200, {}, "[]"), "not_geostage"),
        ((301, {"Location": "http://127.0.0.1:1/"}, ""), "unexpected_answer"),
        ((500, {"Content-Type": "application/json"}, "{"), "unexpected_answer"),
    ],
)
def test_another_answer_ends_it_and_does_not_show_the_key(server: Server, api: Api, answer: Answer, code: str) -> None:
    server.answers = [answer]
    with pytest.raises(ClientError) as caught:
        follow(api, JOB, lambda _: None, sleep=lambda _: None)
    assert caught.value.code == code
    assert caught.value.remedy
    assert KEY not in f"{caught.value.message}{caught.value.remedy}"
    assert len(server.asked) == 1


def test_a_problem_is_passed_on_in_its_own_words(server: Server, api: Api) -> None:
    fault = {"field": "n", "message": "is required"}
    body = {"code": "x", "detail": "What.", "remediation": "Do.", "errors": [fault]}
    server.answers = [(400, {"Content-Type": "application/problem+json"}, json.dumps(body))]
    with pytest.raises(ClientError) as caught:
        api.get("jobs")
    assert caught.value.as_json() == {
        "message": "What.",
        "remedy": "Do.",
        "code": "x",
        "status": 400,
        "errors": [fault],
    }


def test_retry_after_is_seconds_or_a_date() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    assert seconds_of("7") == 7
    assert 50 < (seconds_of(later) or 0) <= 60
    assert [seconds_of(text) for text in ("soon", "-5", "nan", "inf", "9" * 400, "", None)] == [None] * 7
