"""An error of ours is one answer, whatever the route."""

from __future__ import annotations

import json

import azure.functions as func
import pytest

from controllers.http.replies import Replies
from schema import errors

http = Replies(func.HttpResponse)
KEYS = {
    *("type", "title", "status", "detail", "code", "category", "retryable", "user_fixable", "remediation", "errors"),
}


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequest("m", errors=[{"field": "n", "message": "wrong"}]), 400),
        (errors.NotFound("m", code="job_not_found"), 404),
        (errors.Conflict("m"), 409),
        (errors.TooLarge("m"), 413),
        (errors.Unavailable("m"), 503),
        (errors.NotConfigured("m"), 503),
        (errors.TransientError("m"), 503),
        (errors.PermanentError("m"), 500),
        (errors.GeostageError("m"), 500),
    ],
)
def test_each_error_has_its_status(error: errors.GeostageError, status: int) -> None:
    answer = http.problem(error)
    body = json.loads(answer.get_body())
    assert (answer.status_code, body["status"]) == (status, status)
    assert answer.mimetype == "application/problem+json"
    assert set(body) == KEYS
    assert body["type"] == f"urn:geostage:error:{body['code']}"
    assert ("Retry-After" in answer.headers) is (status == 503)
    assert body["errors"] == getattr(error, "errors", [])


def test_every_class_of_request_error_has_a_status() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.RequestError)]
    for kind in kinds:
        if kind is not errors.RequestError:
            assert http.problem(kind("m")).status_code < 500 or issubclass(kind, errors.Unavailable)


def test_a_bug_is_answered_with_a_sentence_and_without_what_it_was() -> None:
    @http.answers()
    def buggy(_req: func.HttpRequest) -> func.HttpResponse:
        raise KeyError("host=db.internal password=secret")

    answer = buggy(request())
    body = json.loads(answer.get_body())
    assert (answer.status_code, body["code"]) == (500, "internal_error")
    assert "log" in body["remediation"]
    assert "secret" not in answer.get_body().decode()
    assert "KeyError" not in answer.get_body().decode()


def request(url: str = "/api/jobs", params: dict[str, str] | None = None, **headers: str) -> func.HttpRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return func.HttpRequest(method="GET", url=url, params=params or {}, headers=named, body=b"")


@http.answers("limit")
def respond(req: func.HttpRequest) -> func.HttpResponse:
    return http.reply_if_changed(req, {"limit": req.params.get("limit")})


def test_an_unknown_query_parameter_is_refused_and_named() -> None:
    body = json.loads(respond(request(params={"limt": "3", "x": "1", "limit": "2"})).get_body())
    assert body["code"] == "unknown_query_parameter"
    assert [fault["field"] for fault in body["errors"]] == ["limt", "x"]
    assert "limit" in body["remediation"]


def test_the_function_key_is_no_unknown_parameter() -> None:
    assert respond(request(params={"code": "key", "limit": "2"})).status_code == 200


@pytest.mark.parametrize("header", ["{etag}", "W/{etag}", '"other", {etag}', '"other",W/{etag}', "*"])
def test_what_the_caller_has_already_is_not_sent_again(header: str) -> None:
    etag = respond(request()).headers["ETag"]
    answer = respond(request(If_None_Match=header.format(etag=etag)))
    assert (answer.status_code, answer.get_body(), answer.headers["ETag"]) == (304, b"", etag)


@pytest.mark.parametrize("header", ["", '"other"', "garbage"])
def test_what_the_caller_has_not_is_sent(header: str) -> None:
    assert respond(request(If_None_Match=header)).status_code == 200


def test_an_etag_changes_with_the_answer() -> None:
    assert respond(request()).headers["ETag"] != respond(request(params={"limit": "1"})).headers["ETag"]
