"""Ids of jobs and tasks."""

from __future__ import annotations

import time
import uuid

import pytest

from schema.jobs import JOB_ID_PATTERN, JobStatus, Stage, job_id_of, new_job_id, stage_sequence_of, task_id_of


def test_a_job_id_is_a_uuid_of_version_7() -> None:
    for _ in range(200):
        text = new_job_id()
        parsed = uuid.UUID(hex=text)
        assert parsed.hex == text
        assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)


def test_a_job_id_holds_the_time_that_it_was_made() -> None:
    before = time.time_ns() // 1_000_000
    made = int(new_job_id()[:12], 16)
    assert before <= made <= time.time_ns() // 1_000_000


def test_job_ids_sort_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = []
    for milliseconds in range(1_900_000_000_000, 1_900_000_000_050):
        monkeypatch.setattr("schema.jobs.time.time_ns", lambda ms=milliseconds: ms * 1_000_000)
        ids.append(new_job_id())
    assert ids == sorted(ids)


def test_job_ids_of_one_moment_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("schema.jobs.time.time_ns", lambda: 1_900_000_000_000_000_000)
    assert len({new_job_id() for _ in range(10_000)}) == 10_000


@pytest.mark.parametrize(("index", "text"), [(1, "0001"), (9999, "9999"), (10_000, "10000")])
def test_a_task_id_names_its_place(index: int, text: str) -> None:
    job_id = new_job_id()
    assert task_id_of(job_id, 2, index) == f"{job_id}-2-{text}"
    assert job_id_of(task_id_of(job_id, 2, index)) == job_id
    assert JOB_ID_PATTERN == "^[0-9a-f]{32}$"


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        ("queued", False),
        ("processing", False),
        ("completed", True),
        ("completed_with_errors", True),
        ("failed", True),
        ("cancelled", True),
    ],
)
def test_a_job_has_ended_when_no_task_of_it_can_run(status: str, ended: bool) -> None:
    assert JobStatus(status).ended is ended


def test_stages_are_numbered_from_one() -> None:
    assert stage_sequence_of((Stage("a"), Stage("b"))) == {"1": "a", "2": "b"}
