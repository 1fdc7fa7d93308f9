"""Messages: wake-up calls that carry ids only. The row is the truth; a message says which row to look at."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import asdict, dataclass

from schema.errors import PermanentError
from schema.jobs import JOB_ID_PATTERN, Job

JOB_QUEUE = "geo-jobs"
TASK_QUEUES = {"vector": "geo-vector-tasks", "raster": "geo-raster-tasks", "light": "geo-light-tasks"}
QUEUES = (JOB_QUEUE, *TASK_QUEUES.values())
POISON_SUFFIX = "-poison"

RESERVED_KEYS = frozenset(
    ("id", "dequeueCount", "popReceipt", "insertionTime", "expirationTime", "nextVisibleTime", "queueTrigger")
)
"""Top-level keys that the Functions host would copy over its own trigger metadata."""


class MessageError(PermanentError):
    """A queue message that Geostage did not write."""

    code = "invalid_message"


@dataclass(frozen=True)
class JobMessage:
    """Start this stage of this job, unless that was done already."""

    job_id: str
    stage_n: int

    @classmethod
    def of(cls, job: Job) -> JobMessage:
        """Return the message that starts a job's current stage."""
        return cls(job.job_id, job.current_stage_n)

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, body: bytes | str) -> JobMessage:
        """Read a message; raises MessageError."""
        fields = _fields(body, {"job_id", "stage_n"})
        job_id, stage_n = fields["job_id"], fields["stage_n"]
        if not isinstance(job_id, str) or not re.match(JOB_ID_PATTERN, job_id) or type(stage_n) is not int:
            raise MessageError("A job message must hold a job_id of 32 hex digits and a whole stage_n.")
        return cls(job_id, stage_n)


@dataclass(frozen=True)
class TaskMessage:
    """Run this task, if it still waits to be run."""

    task_id: str

    def encode(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def decode(cls, body: bytes | str) -> TaskMessage:
        """Read a message; raises MessageError."""
        task_id = _fields(body, {"task_id"})["task_id"]
        if not isinstance(task_id, str) or not re.match(r"^[0-9a-f]{32}-\d+-\d{4,}$", task_id):
            raise MessageError("A task message must hold a task_id: <job_id>-<stage_n>-<index>.")
        return cls(task_id)


def content_of(body: bytes | str) -> bytes:
    """Return what a message says: decoded if it is base64, as Geostage sends it, else its bytes as they are.

    The host hands messages on as they are stored (messageEncoding none): one that it had to decode and could not would
    never reach a function, nor the list of poison messages.
    """
    data = body.encode() if isinstance(body, str) else body
    try:
        return base64.b64decode(data, validate=True)
    except binascii.Error:
        return data


def decode(body: bytes | str) -> JobMessage | TaskMessage | None:
    """Read a message of either kind; None for one that Geostage did not write."""
    for kind in (JobMessage, TaskMessage):
        try:
            return kind.decode(body)
        except MessageError:
            continue
    return None


def _fields(body: bytes | str, expected: set[str]) -> dict[str, object]:
    try:
        fields = json.loads(content_of(body))
    # RecursionError: anybody with the account's key may write a message nested ten thousand levels deep.
    except (ValueError, RecursionError) as exc:
        raise MessageError("The message is not JSON.") from exc
    if not isinstance(fields, dict) or set(fields) != expected:
        raise MessageError(f"The message must be an object with exactly {', '.join(sorted(expected))}.")
    return fields
