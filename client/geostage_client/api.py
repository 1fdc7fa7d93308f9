"""The HTTP API of Geostage: one call, and its answer or an error that says what to do."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from time import sleep, time
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from geostage_client.connection import KEY_VARIABLE, Connection
from geostage_client.errors import ClientError, Unreachable, UsageError

Json = dict[str, Any]
LOOPBACK = ("127.0.0.1", "localhost", "::1")
NOT_NOW = (429, 502, 503, 504)
PATIENCE_SECONDS = 120.0
"""How long a deployment may be unable to answer; an upgrade of the app takes less."""
_SECONDS = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,200}")
_KEY_REMEDY = f"Set {KEY_VARIABLE} to the right one, or name a file that holds the key with --key-file."


@dataclass(frozen=True)
class Seen:
    """A job as it was when it was last asked for."""

    job: Json
    etag: str | None
    retry_after: float | None


class Api:
    """A client of one deployment, whose connections are closed at the end of a `with`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        headers = {"User-Agent": f"geostage-client/{version('geostage-client')}", "Accept": "application/json"}
        if connection.key:
            headers["x-functions-key"] = connection.key
        # A proxy that the environment names cannot reach what listens on this machine. Redirects are not followed:
        # the key must go to the host that was named, and to no other.
        near = urlsplit(connection.api).hostname in LOOPBACK
        timeout = httpx.Timeout(60, connect=10)
        self._client = httpx.Client(
            base_url=f"{connection.api}/", headers=headers, timeout=timeout, trust_env=not near, follow_redirects=False
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def get(self, path: str, query: Mapping[str, Any] | None = None) -> Json:
        """Return the JSON object at a path below the API's base. Raises ClientError."""
        return self._object(self._ask("GET", path, params=query))

    def post(self, path: str) -> Json:
        """POST without a body, and return the JSON object of the answer. Raises ClientError."""
        return self._object(self._ask("POST", path))

    def submit(
        self,
        job_type: str,
        parameters: Json,
        waits: Callable[[ClientError, float], None],
        *,
        patience: float = PATIENCE_SECONDS,
        sleep: Callable[[float], None] = sleep,
    ) -> Json:
        """Submit a job, and return what the API says of it; `waits` is told of each error that is waited for.

        An answer with Retry-After, such as the 503 of a storage that is overloaded, is waited for. All tries have one
        Idempotency-Key, so that a try that was accepted although its answer was an error makes no second job.

        Raises
        ------
        ClientError
            The API refuses the job.
        Unreachable
            Nobody answers, or the API still cannot accept the job after `patience` seconds.
        """
        path, headers, waited, accepted = type_path(job_type), {"Idempotency-Key": uuid4().hex}, 0.0, False
        while True:
            try:
                said = self._object(self._ask("POST", path, json=parameters, headers=headers))
            except Unreachable as exc:
                # A Retry-After of 0 s must not become a loop without end.
                pause = max(exc.retry_after or 0.0, 1.0)
                waited += pause
                if exc.retry_after is None or waited > patience:
                    raise
                accepted = accepted or exc.code == "queue_unavailable"
                waits(exc, pause)
                sleep(pause)
            else:
                # The job that this try found was accepted by the one before.
                return {name: value for name, value in said.items() if name != "existing" or not accepted}

    def job(self, job_id: str, before: Seen | None = None) -> Seen:
        """Return a job, or `before` where it has not changed since. Raises ClientError."""
        headers = {"If-None-Match": before.etag} if before and before.etag else {}
        answer = self._ask("GET", job_path(job_id), headers=headers)
        retry_after = seconds_of(answer.headers.get("Retry-After"))
        if answer.status_code == httpx.codes.NOT_MODIFIED and before:
            return Seen(before.job, before.etag, retry_after or before.retry_after)
        return Seen(self._object(answer), answer.headers.get("ETag"), retry_after)

    def health(self) -> tuple[bool, Json]:
        """Return whether the deployment can work, and the state of its parts. Raises ClientError."""
        answer = self._ask("GET", "health", accepted=(200, 503))
        report = self._object(answer)
        if "checks" not in report:
            raise self._error(answer)
        return answer.is_success, report

    def _ask(self, method: str, path: str, *, accepted: tuple[int, ...] = (), **options: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **options)
        except httpx.TransportError as exc:
            where = f"{self._connection.api} (from {self._connection.origin})"
            if isinstance(exc, httpx.TimeoutException):
                said = f"{where} does not answer in time."
            else:
                said = f"{where} cannot be reached: {str(exc) or type(exc).__name__}."
            remedy = "Check that it runs and that the URL is right; for a local stack, ./dev up."
            if method == "POST" and not isinstance(exc, httpx.ConnectError | httpx.ConnectTimeout):
                remedy = "It may have accepted the request: geostage jobs lists the jobs."
            raise Unreachable(said, remedy=remedy, code="unreachable") from exc
        if answer.is_success or answer.status_code in (httpx.codes.NOT_MODIFIED, *accepted):
            return answer
        raise self._error(answer)

    def _object(self, answer: httpx.Response) -> Json:
        try:
            body = answer.json()
        except ValueError:
            body = None
        if isinstance(body, dict):
            return body
        raise ClientError(
            f"{self._connection.api} answers, but not as Geostage does.",
            remedy=f"Check the URL, which comes from {self._connection.origin}; it ends in /api.",
            code="not_geostage",
            status=answer.status_code,
        )

    def _error(self, answer: httpx.Response) -> ClientError:
        status = answer.status_code
        retry_after = seconds_of(answer.headers.get("Retry-After"))
        kind = Unreachable if status in NOT_NOW else ClientError
        problem = _problem(answer)
        if problem:
            return kind(
                str(problem.get("detail") or problem.get("title")),
                remedy=str(problem.get("remediation") or ""),
                code=str(problem["code"]),
                status=status,
                faults=problem.get("errors") or (),
                # Settings and migrations that are missing stay so until somebody acts.
                retry_after=None if problem.get("category") == "configuration" else retry_after,
            )
        if status in (401, 403):
            api, origin = self._connection.api, self._connection.key_origin
            said = f"{api} refused the key from {origin}." if origin else f"{api} asks for a key, and none was given."
            return ClientError(said, remedy=_KEY_REMEDY, code="key_refused", status=status)
        return kind(
            f"{self._connection.api} answered {status} {answer.reason_phrase}.",
            remedy=f"Check the URL, which comes from {self._connection.origin}; geostage health asks without a key.",
            code="unexpected_answer",
            status=status,
            retry_after=retry_after,
        )


def job_path(job_id: str, action: str = "") -> str:
    """Return the path of a job, or of something that is done with it. Raises UsageError for what cannot be an id."""
    return f"jobs/{_name(job_id, 'job id')}" + (f"/{action}" if action else "")


def type_path(job_type: str) -> str:
    """Return the path that jobs of a type are submitted to. Raises UsageError for what cannot be a type."""
    return f"jobs/{_name(job_type, 'job type')}"


def _name(text: str, what: str) -> str:
    # Anything else could lead to another route.
    if _NAME.fullmatch(text):
        return text
    listed = "geostage jobs" if what == "job id" else "geostage types"
    raise UsageError(f"{text!r} is not a {what}.", remedy=f"{listed} lists them.")


def seconds_of(retry_after: str | None) -> float | None:
    """Return a Retry-After header in seconds from now; None without one that can be read (RFC 9110, 10.2.3)."""
    if retry_after is None:
        return None
    if _SECONDS.fullmatch(retry_after.strip()):
        return float(retry_after)
    try:
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time())
    except ValueError:
        return None


def _problem(answer: httpx.Response) -> Json | None:
    """Return the RFC 9457 problem that an answer holds."""
    if "json" not in answer.headers.get("Content-Type", ""):
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) and "code" in body and ("detail" in body or "title" in body) else None
