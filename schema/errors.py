"""Errors: the class says what happened, the instance says what to do about it.

GeostageError
├── PermanentError          the input of a task cannot work; it fails at once
│   ├── SourceChanged       the source blob is not the one that was accepted
│   ├── BlobBlocked         a blob is archived, immutable or leased
│   └── StorageDenied       the storage account does not let the app in
├── TransientError          worth another try: a server away, a lock not granted
│   └── TaskInterrupted     the worker lost its task (cancelled, or taken over): stop, commit nothing
└── RequestError            what a caller asked for cannot be done; controllers/http/replies.py has each one's status
    ├── InvalidRequest      malformed or not valid: every fault is listed
    ├── NotFound            no such job, job type, container or blob
    ├── Conflict            the state of the job does not allow it
    ├── TooLarge            over a limit that is checked before any work
    └── Unavailable         database or queue cannot be reached now
        └── NotConfigured   a setting of this deployment is missing or wrong
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from schema.clipping import SENTENCE_LENGTH, clip
from schema.jsonb import storable


@dataclass(frozen=True)
class ErrorInfo:
    """An error as it is stored on rows and shown in answers."""

    code: str
    category: str
    message: str
    remediation: str
    retryable: bool
    user_fixable: bool
    task_id: str | None = None
    stage_n: int | None = None
    attempt: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the error as a JSON object that a row can hold, without the parts that do not apply."""
        parts = {key: value for key, value in asdict(self).items() if value is not None}
        return {key: storable(value) if isinstance(value, str) else value for key, value in parts.items()}


class GeostageError(Exception):
    """Base of every error that Geostage raises on purpose."""

    code: ClassVar[str] = "internal_error"
    category: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    user_fixable: ClassVar[bool] = False

    def __init__(self, message: str, *, remediation: str = "", code: str | None = None, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remediation = remediation
        self.error_code = code or self.code
        self.details = details

    def locate(self, place: str) -> None:
        """Put before the message what it is about, unless it says so itself."""
        if place not in self.message:
            self.message = f"{place}: {self.message}"
            self.args = (self.message,)

    def info(self, *, task_id: str | None = None, stage_n: int | None = None, attempt: int | None = None) -> ErrorInfo:
        """Return the error as it is stored and shown."""
        return ErrorInfo(
            code=self.error_code,
            category=self.category,
            # Clipped here, whatever was put into it: the message is part of rows, answers and log lines.
            message=clip(self.message, SENTENCE_LENGTH),
            remediation=clip(self.remediation, SENTENCE_LENGTH),
            retryable=self.retryable,
            user_fixable=self.user_fixable,
            task_id=task_id,
            stage_n=stage_n,
            attempt=attempt,
        )


class PermanentError(GeostageError):
    """The input of a task cannot work, however often it is tried."""

    code = "invalid_input"
    category = "input"
    user_fixable = True


class SourceChanged(PermanentError):
    """The source blob was replaced or removed after the job was accepted."""

    code = "source_changed"


class BlobBlocked(PermanentError):
    """The state of a blob does not allow what a task needs: it is archived, immutable or leased."""

    code = "blob_archived"


class StorageDenied(PermanentError):
    """The storage account refuses the app: a role or a network rule is missing, or a key is wrong."""

    code = "storage_access_denied"
    category = "configuration"
    user_fixable = False


class TransientError(GeostageError):
    """Worth another try."""

    code = "transient_error"
    category = "transient"
    retryable = True


class TaskInterrupted(TransientError):
    """The task is no longer this worker's: it was cancelled, or its lease was taken over."""

    code = "task_interrupted"


class RequestError(GeostageError):
    """What a caller asked for cannot be done."""

    category = "request"
    user_fixable = True


class InvalidRequest(RequestError):
    """The request is malformed, or its parameters are not valid. `errors` lists every fault."""

    code = "invalid_parameters"

    def __init__(self, message: str, *, errors: list[dict[str, Any]] | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.errors = errors or []


class NotFound(RequestError):
    """There is no such job, job type, container or blob."""

    code = "not_found"


class Conflict(RequestError):
    """The state of the job does not allow what was asked."""

    code = "conflict"


class TooLarge(RequestError):
    """Over a limit that is checked before any work is done."""

    code = "too_large"


class Unavailable(RequestError):
    """The database or the queue cannot be reached at this moment."""

    code = "unavailable"
    category = "transient"
    retryable = True
    user_fixable = False


class NotConfigured(Unavailable):
    """A setting of this deployment is missing or wrong; the message names it, never its value.

    A 503 and no fault: it is the first thing that happens after a deployment.
    """

    code = "not_configured"
    category = "configuration"
