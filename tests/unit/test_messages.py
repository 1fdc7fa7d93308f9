"""Messages carry ids only, and nothing else is taken for one."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.messages import RESERVED_KEYS, JobMessage, MessageError, TaskMessage, content_of, decode

JOB_ID = "0123456789abcdef" * 2
TASK_ID = f"{JOB_ID}-2-0017"


@pytest.mark.parametrize("message", [JobMessage(JOB_ID, 3), TaskMessage(TASK_ID)])
def test_a_message_is_read_as_it_was_written(message: JobMessage | TaskMessage) -> None:
    text = message.encode()
    assert type(message).decode(text) == message
    assert type(message).decode(text.encode()) == message
    assert decode(text) == message
    assert decode(base64.b64encode(text.encode())) == message
    assert not set(json.loads(text)) & RESERVED_KEYS


@pytest.mark.parametrize("text", ["who wrote this?", "\N{SATELLITE}", "{}", "", "größer"])
def test_a_message_says_the_same_packed_and_as_it_is(text: str) -> None:
    assert content_of(text) == content_of(base64.b64encode(text.encode())) == text.encode()


def test_the_bodies_are_as_documented() -> None:
    assert json.loads(JobMessage(JOB_ID, 3).encode()) == {"job_id": JOB_ID, "stage_n": 3}
    assert json.loads(TaskMessage(TASK_ID).encode()) == {"task_id": TASK_ID}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"garbage",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"job_id": 1, "stage_n": 1}',
        b'{"job_id": "short", "stage_n": 1}',
        b'{"job_id": "0123456789ABCDEF0123456789ABCDEF", "stage_n": 1}',
        b'{"job_id": "0123456789abcdef0123456789abcdef", "stage_n": "1"}',
        b'{"job_id": "0123456789abcdef0123456789abcdef", "stage_n": true}',
        b'{"job_id": "0123456789abcdef0123456789abcdef"}',
        b'{"job_id": "0123456789abcdef0123456789abcdef", "stage_n": 1, "id": 2}',
        b'{"task_id": null}',
        b'{"task_id": "0123456789abcdef0123456789abcdef"}',
        b'{"task_id": "0123456789abcdef0123456789abcdef-1-1"}',
        b'{"task_id": "0123456789abcdef0123456789abcdef-1-0001; DROP TABLE app.jobs"}',
    ],
)
def test_anything_else_is_none_of_ours(body: bytes) -> None:
    assert decode(body) is None
    for kind in (JobMessage, TaskMessage):
        with pytest.raises(MessageError):
            kind.decode(body)


@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_a_message_error(body: bytes) -> None:
    assert decode(body) is None
