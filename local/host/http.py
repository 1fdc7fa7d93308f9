"""HTTP triggers: a WSGI application that turns a request into func.HttpRequest and the answer back."""

import hmac
import http.client
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import azure.functions as func

from local.host.routes import Route, find
from local.host.running import Running

logger = logging.getLogger("local.host.http")

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Application:
    """The WSGI application of one worker; `key` None asks for no key, as `func start` does."""

    def __init__(self, routes: Sequence[Route], running: Running, key: str | None) -> None:
        self._routes = routes
        self._running = running
        self._key = key

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        status, headers, body = self._answer(environ)
        phrase = http.client.responses.get(status, "Unknown")
        start_response(f"{status} {phrase}", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, environ: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]], bytes]:
        method, path = environ["REQUEST_METHOD"], environ["REQUEST_URI"].partition("?")[0]
        found = find(self._routes, method, path)
        if found is None:
            return 404, [], b""
        route, parameters = found
        request = _request(environ, parameters)
        given = request.headers.get("x-functions-key") or request.params.get("code") or ""
        is_open = self._key is None or str(route.function.trigger.get("authLevel")).upper() == "ANONYMOUS"
        if not is_open and not hmac.compare_digest(given.encode(), (self._key or "").encode()):
            return 401, [], b""
        try:
            with self._running.of(route.function.name):
                return _response(route.function.invoke(request))
        except Exception:  # the real host answers 500 with no body, whatever was raised
            logger.exception("%s failed", route.function.name)
            return 500, [], b""


def _request(environ: Mapping[str, Any], parameters: dict[str, str]) -> func.HttpRequest:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name[:5] == "HTTP_"}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.replace("_", "-").lower()] = environ[name]
    # As the real host does: repeated names are joined with commas, and empty values dropped.
    query: dict[str, list[str]] = {}
    for name, value in parse_qsl(environ.get("QUERY_STRING", "")):
        query.setdefault(name, []).append(value)
    return func.HttpRequest(
        method=environ["REQUEST_METHOD"],
        url=f"{environ['wsgi.url_scheme']}://{environ['HTTP_HOST']}{environ['REQUEST_URI']}",
        headers=headers,
        params={name: ",".join(values) for name, values in query.items()},
        route_params=parameters,
        body=environ["wsgi.input"].read(),
    )


def _response(result: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    if isinstance(result, str):
        result = func.HttpResponse(result)
    if not isinstance(result, func.HttpResponse):
        raise TypeError(f"an HTTP function must return an HttpResponse, not {type(result).__name__}")
    headers = [(name, value) for name, value in result.headers.items() if name.lower() != "content-length"]
    if not any(name.lower() == "content-type" for name, _ in headers):
        is_text = result.mimetype.startswith("text/")
        headers.append(("Content-Type", f"{result.mimetype}; charset={result.charset}" if is_text else result.mimetype))
    return result.status_code, headers, result.get_body()
