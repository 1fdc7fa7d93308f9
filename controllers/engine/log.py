"""The log: one JSON line per transition, with the ids to follow a job through every worker; no secrets."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import traceback
from pathlib import Path
from typing import Any

from schema.jobs import Job, Task
from schema.messages import content_of

_logger = logging.getLogger("geostage")
_ROOT = Path(__file__).parents[2]

_VALUE = r"""(?:'(?:[^'\\]|\\.)*'|"[^"]*"|[^;&\s'",)]+)"""
_SECRETS = (
    # What follows a scheme: storage SDK and psycopg put whole URLs, signed ones too, into their messages.
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://[^\s'\"]+"), r"\1://***"),
    (re.compile(r"(?i)\b(Bearer|SharedKey|SharedAccessSignature)[ =]+[^\s'\"]+"), r"\1 ***"),
    (
        re.compile(
            r"(?i)['\"]?\b(\w*(?:key|signature|password|passwd|pwd|secret|token)|sig|AccountName)\b['\"]?"
            rf"\s*[=:]\s*{_VALUE}"
        ),
        r"\1=***",
    ),
    # Short words that are secrets only as `name=value`: `code` is how a function key travels in a URL.
    (re.compile(rf"(?i)\b(code|host|hostaddr|user)=\s*{_VALUE}"), r"\1=***"),
    # libpq: connection to server at "host" (address), port 5432 failed; could not translate host name "host".
    (re.compile(r"(?i)\b((?:server at|host name|hostname|host|resolve|user) )['\"]?[\w.:-]+['\"]?"), r"\1***"),
    (re.compile(r"(?i)\b(?:[a-z0-9_](?:[\w-]*\w)?\.)+(?:net|com|org|io|local|internal|lan|corp|cloud)\b"), "***"),
    # IPv4, then IPv6; times of day look like the latter, and stay.
    (re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b(?::\d+)?"), "***"),
    (
        re.compile(
            r"(?i)(?<![\w:])(?!\d\d:\d\d:\d\d\b)(?=[0-9a-f:]*:[0-9a-f:]*:)[0-9a-f:]*[0-9a-f]:[0-9a-f:]+(?![\w:])|(?<![\w:])::1\b"
        ),
        "***",
    ),
)
_CHATTY = ("azure", "psycopg.pool", "urllib3")


def quiet_libraries() -> None:
    """Keep libraries from logging what they connect to: hosts, addresses of queues, users."""
    # The storage SDK and the pool write hosts and addresses at INFO and WARNING.
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)


def event(
    action: str, *, job: Job | None = None, task: Task | None = None, level: int = logging.INFO, **fields: Any
) -> None:
    """Write one line: the action, the ids, and what else is said of it."""
    line: dict[str, Any] = {"action": action}
    if job:
        line |= {"job_id": job.job_id, "job_type": job.job_type, "stage": job.current_stage}
        line |= {"stage_n": job.current_stage_n, "traceparent": job.traceparent}
    if task:
        line |= {"job_id": task.job_id, "task_id": task.task_id, "task_type": task.task_type}
        line |= {"stage_n": task.stage_n, "attempt": task.attempt}
    line |= fields
    kept = {key: value for key, value in line.items() if value is not None}
    _logger.log(level, "%s", json.dumps(kept, default=str))


def redact(text: str) -> str:
    """Replace keys, signatures, connection strings and hosts in a text by ***."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def describe(error: BaseException) -> str:
    """Return what an unexpected error was, in one redacted line."""
    first = next(iter(str(error).splitlines()), "")
    return redact(f"{type(error).__name__}: {first}" if first else type(error).__name__)[:500]


def trace_of(body: bytes) -> dict[str, Any]:
    """Return the size and a digest of a message, by which two can be told apart.

    Its text is not logged: a message of others may hold anything, keys too. Who has a function key reads it in
    GET /api/monitor/poison.
    """
    content = content_of(body)
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()[:16]}


def where(error: BaseException) -> str:
    """Return where an unexpected error was raised: our innermost lines, and the one that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT)][-3:]
    chosen = ours if not frames or frames[-1] in ours else [*ours, frames[-1]]
    return " > ".join(f"{Path(frame.filename).stem}:{frame.lineno}" for frame in chosen)
