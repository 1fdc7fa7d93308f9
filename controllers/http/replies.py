"""Replies: what a route returns becomes an HTTP response, and so does every error.

The response class is the host's and comes from outside: Azure's library is known to function_app.py alone.
"""

from __future__ import annotations

import functools
import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from typing import Generic, Protocol, TypeVar
from urllib.parse import urlsplit

from controllers.engine import log
from controllers.http.queries import refuse_unknown
from controllers.http.schemas import Problem
from schema import errors
from schema.jobs import Json

STATUS_OF = {
    errors.InvalidRequest: 400,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.BlobBlocked: 409,
    errors.TooLarge: 413,
    errors.Unavailable: 503,
    errors.StorageDenied: 503,
}
"""The HTTP status of each class of error; of the others 503 where another try may help, else 500."""
RETRY_AFTER = {"Retry-After": "10"}
REPORT = "Report it to whoever runs this deployment: its log says where, in the line http_error."


Response = TypeVar("Response")


class Request(Protocol):
    """What is asked, as far as replies look at it."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def params(self) -> Mapping[str, str]: ...
    @property
    def headers(self) -> Mapping[str, str]: ...


Asked = TypeVar("Asked", bound=Request)


class Replies(Generic[Response]):
    """Makes responses of one class, which takes a body, status_code, mimetype and headers."""

    def __init__(self, response: Callable[..., Response]) -> None:
        self._response = response

    def reply(self, body: Json, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
        """Return a JSON response."""
        return self._make(body, status, "application/json", headers or {})

    def reply_if_changed(self, req: Request, body: Json, headers: Mapping[str, str] | None = None) -> Response:
        """Return a JSON response with an ETag, or 304 when the caller has it already."""
        etag = '"' + hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:32] + '"'
        # A proxy that compresses answers makes the tag a weak one.
        had = [tag.strip().removeprefix("W/") for tag in req.headers.get("If-None-Match", "").split(",")]
        if etag in had or "*" in had:
            return self._response(status_code=304, headers={"ETag": etag})
        return self.reply(body, headers={"ETag": etag, **(headers or {})})

    def problem(self, exc: errors.GeostageError) -> Response:
        """Return an error as application/problem+json; 503 says when to try again."""
        unmapped = 503 if exc.retryable else 500
        status = next((status for kind, status in STATUS_OF.items() if isinstance(exc, kind)), unmapped)
        info = exc.info()
        body = Problem(
            # RFC 9457 wants a URI that tells errors apart; a URN needs no page that has to stay where it is.
            type=f"urn:geostage:error:{info.code}",
            title=info.code.replace("_", " ").capitalize(),
            status=status,
            detail=info.message,
            code=info.code,
            category=info.category,
            retryable=info.retryable,
            user_fixable=info.user_fixable,
            remediation=info.remediation,
            errors=getattr(exc, "errors", []),
        )
        return self._make(body.as_json(), status, Problem.media_type, RETRY_AFTER if status == 503 else {})

    def answers(self, *query: str) -> Callable[[Callable[[Asked], Response]], Callable[[Asked], Response]]:
        """Return a decorator for routes: it refuses query parameters that are not named, and makes errors problems."""

        def wrap(respond: Callable[[Asked], Response]) -> Callable[[Asked], Response]:
            # azure-functions reads name and signature of what it is given, and finds those of the route through wraps.
            @functools.wraps(respond)
            def answer(req: Asked) -> Response:
                try:
                    refuse_unknown(req.params, query)
                    return respond(req)
                except errors.GeostageError as exc:
                    return self.problem(exc)
                # A caller gets a sentence for a bug of ours too; where it is, is for the log alone.
                except Exception as exc:  # noqa: BLE001
                    path = urlsplit(req.url).path
                    reason = log.describe(exc)
                    log.event(
                        "http_error",
                        level=logging.ERROR,
                        method=req.method,
                        path=path,
                        reason=reason,
                        where=log.where(exc),
                    )
                    fault = "Geostage has a fault and could not answer."
                    return self.problem(errors.GeostageError(fault, remediation=REPORT))

            return answer

        return wrap

    def _make(self, body: Json, status: int, mimetype: str, headers: Mapping[str, str]) -> Response:
        return self._response(json.dumps(body), status_code=status, mimetype=mimetype, headers=headers)
