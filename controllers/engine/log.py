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

_logger = logging.getLogger("geostage")
_ROOT = Path(__file__).parents[2]

_VALUE = r"""(?:'(?:[^'\\]|\\.)*'|"[^"]*"|[^;&\s'",)]+)"""
_SECRETS = (
    (re.compile(r"(?i)\b([a-z][a-z0-9+.-]*)://[^\s'\"]+"), r"\1://***"),
    (re.compile(r"(?i)\b(Bearer|SharedKey|SharedAccessSignature)[ =]+[^\s'\"]+"), r"\1 ***"),
    (
        re.compile(
            r"(?i)['\"]?\b(\w*(?:key|signature|password|passwd|pwd|secret|token)|sig|AccountName)\b['\"]?"
            rf"\s*[=:]\s*{_VALUE}"
        ),
        r"\1=***",
    ),
    (re.compile(rf"(?i)\b(code|host|hostaddr|user)=\s*{_VALUE}"), r"\1=***"),
    (re.compile(r"(?i)\b((?:server at|host name|hostname|host|resolve|user) )['\"]?[\w.:-]+['\"]?"), r"\1***"),
    (re.compile(r"(?i)\b(?:[a-z0-9_](?:[\w-]*\w)?\.)+(?:net|com|org|io|local|internal|lan|corp|cloud)\b"), "***"),
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
    """Take keys, signatures, connection strings and hosts out of a text."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


def describe(error: BaseException) -> str:
    """Say what an unexpected error was, in one redacted line."""
    first = next(iter(str(error).splitlines()), "")
    return redact(f"{type(error).__name__}: {first}" if first else type(error).__name__)[:500]


def trace_of(body: bytes) -> dict[str, Any]:
    """Tell one message from another without a word of it, since nobody knows what a foreign one holds."""
    return {"bytes": len(body), "sha256": hashlib.sha256(body).hexdigest()[:16]}


def where(error: BaseException) -> str:
    """Say where an unexpected error was raised: the innermost lines of ours and the one that raised it."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(_ROOT)][-3:]
    chosen = ours if not frames or frames[-1] in ours else [*ours, frames[-1]]
    return " > ".join(f"{Path(frame.filename).stem}:{frame.lineno}" for frame in chosen)
