"""Errors of the command line: a sentence that says what is wrong, a remedy, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

REFUSED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class ClientError(Exception):
    """What was asked for cannot be done. No message ever holds a key or a connection string."""

    exit_code = REFUSED

    def __init__(
        self,
        message: str,
        *,
        remedy: str = "",
        code: str = "client_error",
        status: int | None = None,
        faults: Sequence[dict[str, Any]] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.code = code
        self.status = status
        self.faults = list(faults)
        self.retry_after = retry_after

    def as_json(self) -> dict[str, Any]:
        """Return the error as `--json` prints it; the keys are always the same."""
        return {
            "message": self.message,
            "remedy": self.remedy,
            "code": self.code,
            "status": self.status,
            "errors": self.faults,
        }


class UsageError(ClientError):
    """The command line itself is wrong."""

    exit_code = WRONG_USAGE

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy, code="wrong_usage")


class Unreachable(ClientError):
    """Nobody answers, or what answers cannot work now: worth another try."""


class Interrupted(ClientError):
    """Ctrl-C; the message says what goes on without us."""

    exit_code = INTERRUPTED

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy, code="interrupted")
