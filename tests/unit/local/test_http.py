"""Requests and answers as the real host passes them on."""

import io
from typing import Any

import azure.functions as func
import pytest

from local.host.functions import HostedFunction
from local.host.http import Application
from local.host.routes import Route, find, in_order
from local.host.running import Running
from tests.unit.local.apps import http_app


def routes_of(*apps: func.FunctionApp) -> list[Route]:
    return in_order([HostedFunction.of(function) for app in apps for function in app.get_functions()], "api")


def call(
    app: func.FunctionApp, uri: str, method: str = "GET", key: str | None = None, **environ: Any
) -> tuple[str, dict[str, str], bytes]:
    given: dict[str, Any] = {}
    request = {
        "REQUEST_METHOD": method,
        "REQUEST_URI": uri,
        "QUERY_STRING": uri.partition("?")[2],
        "HTTP_HOST": "127.0.0.1:7071",
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(environ.pop("body", b"")),
        **environ,
    }
    body = Application(routes_of(app), Running(), key)(
        request, lambda status, headers: given.update(s=status, h=headers)
    )
    return given["s"], dict(given["h"]), b"".join(body)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/jobs/7", {"id": "7"}),
        ("/API/Jobs/a%20b%2Fc/", {"id": "a b/c"}),
        ("/api/jobs", None),
        ("/api/jobs/", None),
        ("/api/jobs/7/tasks", None),
        ("/jobs/7", None),
    ],
)
def test_a_route_matches_whole_segments(path: str, expected: dict[str, str] | None) -> None:
    found = find(routes_of(http_app("jobs/{id}")), "GET", path)
    assert (found and found[1]) == expected


def test_a_catch_all_takes_the_rest() -> None:
    found = find(routes_of(http_app("files/{*path}")), "GET", "/api/files/a/b.tif")
    assert found is not None
    assert found[1] == {"path": "a/b.tif"}


def test_a_wrong_method_is_not_found() -> None:
    assert call(http_app("jobs", methods=["POST"]), "/api/jobs")[0] == "404 Not Found"


def test_routes_are_tried_in_the_order_of_function_names() -> None:
    routes = routes_of(http_app("jobs/{id}", "zebra"), http_app("jobs/latest", "ant"))
    found = find(routes, "GET", "/api/jobs/latest")
    assert found is not None
    assert found[0].function.name == "ant"


def test_the_function_sees_the_request_as_in_azure() -> None:
    seen: list[func.HttpRequest] = []
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

    @app.route("echo", methods=["POST"])
    def echo(req: func.HttpRequest) -> func.HttpResponse:
        seen.append(req)
        return func.HttpResponse(req.get_body(), status_code=202, mimetype="application/json", headers={"X-A": "b"})

    headers = {"HTTP_X_SENT": "1", "CONTENT_TYPE": "text/csv"}
    status, answered, body = call(app, "/api/echo?a=1&a=2&b=", "POST", body=b"{}", **headers)
    assert (status, body) == ("202 Accepted", b"{}")
    assert answered == {"X-A": "b", "Content-Type": "application/json", "Content-Length": "2"}
    assert dict(seen[0].params) == {"a": "1,2"}
    assert seen[0].headers["x-sent"] == "1"
    assert seen[0].headers["Content-Type"] == "text/csv"
    assert seen[0].url == "http://127.0.0.1:7071/api/echo?a=1&a=2&b="


def test_an_exception_is_a_500_without_a_word() -> None:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)

    @app.route("broken")
    def broken(req: func.HttpRequest) -> func.HttpResponse:
        raise RuntimeError(req.url)

    assert call(app, "/api/broken") == ("500 Internal Server Error", {"Content-Length": "0"}, b"")


@pytest.mark.parametrize(
    ("uri", "header", "status"),
    [
        ("/api/a", "", "401 Unauthorized"),
        ("/api/a", "wrong", "401 Unauthorized"),
        ("/api/a", "right", "200 OK"),
        ("/api/a?code=right", "", "200 OK"),
    ],
)
def test_with_auth_a_function_route_asks_for_the_key(uri: str, header: str, status: str) -> None:
    assert call(http_app("a"), uri, key="right", HTTP_X_FUNCTIONS_KEY=header)[0] == status


def test_an_anonymous_route_never_asks() -> None:
    app = http_app("health", auth_level=func.AuthLevel.ANONYMOUS)
    assert call(app, "/api/health", key="right")[0] == "200 OK"
