"""Rows as answers show them: progress, cursors, links."""

from __future__ import annotations

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controllers.engine.progress import progress_of
from controllers.http import views
from schema.errors import InvalidRequest
from schema.jobs import JobStatus, TaskStatus
from tests.fixtures.factories import JOB_ID, NOW, make_job, make_task

JOB_KEYS = {
    *("job_id", "job_type", "status", "parameters", "stages", "current_stage_n", "current_stage", "stage_sequence"),
    *("stage_data", "stage_history", "progress", "tasks", "warnings", "result_data", "error"),
    *("created_at", "started_at", "updated_at", "finished_at", "links"),
}


def counts(**by_status: int) -> dict[str, int]:
    return dict(by_status)


@pytest.mark.parametrize(
    ("stages", "current", "tasks", "status", "floor", "progress"),
    [
        (1, 1, {}, "queued", 0, 0),
        (1, 1, counts(queued=4), "processing", 0, 0),
        (1, 1, counts(completed=1, queued=2), "processing", 0, 33),
        (1, 1, counts(completed=2, failed=1, processing=1), "processing", 0, 75),
        (3, 1, counts(completed=1), "processing", 0, 33),
        (3, 2, {}, "processing", 0, 33),
        (3, 2, counts(completed=1, queued=1), "processing", 0, 50),
        (3, 3, counts(completed=19, processing=1), "processing", 0, 98),
        (3, 2, counts(completed=1, failed=1, cancelled=2), "failed", 0, 50),
        (3, 2, counts(completed=1, queued=3), "processing", 50, 50),
        (3, 2, counts(completed=3, queued=1), "processing", 50, 58),
        (2, 1, counts(queued=1, cancelled=1), "cancelled", 0, 0),
        (3, 3, {}, "completed", 0, 100),
        (3, 3, counts(completed=1, failed=1), "completed_with_errors", 0, 100),
    ],
)
def test_progress_is_ended_stages_and_the_share_of_the_current_one(
    stages: int, current: int, tasks: dict[str, int], status: str, floor: int, progress: int
) -> None:
    job = make_job(stages=stages, current_stage_n=current, status=JobStatus(status), progress_floor=floor)
    assert progress_of(job, {current: tasks}) == progress


@given(
    sizes=st.lists(st.integers(0, 6), min_size=1, max_size=4),
    moves=st.lists(st.sampled_from(["claim", "finish", "requeue", "fail", "fail_job", "retry"]), max_size=60),
)
def test_progress_never_falls_over_any_run_of_a_job(sizes: list[int], moves: list[str]) -> None:
    """Stages of these sizes; a job that failed is opened again with the progress that it had as its floor."""
    stage, tasks, floor, last = 1, ["queued"] * sizes[0], 0, 0
    status = JobStatus.PROCESSING
    for move in moves:
        before = {"claim": "queued", "finish": "processing", "requeue": "processing", "fail": "processing"}.get(move)
        if status is JobStatus.FAILED:
            if move != "retry":
                continue
            floor = last
            tasks = ["queued" if task in ("failed", "cancelled") else task for task in tasks]
            status = JobStatus.PROCESSING
        elif move == "fail_job":
            tasks = ["cancelled" if task in ("queued", "processing") else task for task in tasks]
            status = JobStatus.FAILED
        elif before in tasks:
            after = {"claim": "processing", "finish": "completed", "requeue": "queued", "fail": "failed"}[move]
            tasks[tasks.index(before)] = after
        while status is JobStatus.PROCESSING and not {"queued", "processing"} & set(tasks) and stage < len(sizes):
            stage, tasks = stage + 1, ["queued"] * sizes[stage]
        job = make_job(stages=len(sizes), current_stage_n=stage, status=status, progress_floor=floor)
        progress = progress_of(job, {stage: {state: tasks.count(state) for state in set(tasks)}})
        assert last <= progress <= 100
        last = progress


def test_a_job_shows_every_key() -> None:
    view = views.job_view(make_job(started_at=None), {1: {"completed": 2}})
    assert set(view) == JOB_KEYS
    assert view["tasks"] == {"1": {"queued": 0, "processing": 0, "completed": 2, "failed": 0, "cancelled": 0}}
    assert view["started_at"] is None
    assert view["created_at"] == "2030-01-02T03:04:05+00:00"
    json.dumps(view)


@pytest.mark.parametrize(
    ("status", "work_area", "offered"),
    [
        (JobStatus.QUEUED, "kept", {"cancel"}),
        (JobStatus.PROCESSING, "kept", {"cancel"}),
        (JobStatus.COMPLETED, "gone", set()),
        (JobStatus.COMPLETED_WITH_ERRORS, "gone", set()),
        (JobStatus.FAILED, "kept", {"retry"}),
        (JobStatus.FAILED, "gone", set()),
        (JobStatus.CANCELLED, "kept", set()),
    ],
)
def test_links_offer_only_what_would_be_accepted(status: JobStatus, work_area: str, offered: set[str]) -> None:
    links = views.job_links(make_job(status=status, work_area=work_area))
    assert {link.rel for link in links} - {"self", "tasks", "explain"} == offered
    assert all(link.href.startswith(f"/api/jobs/{JOB_ID}") for link in links)
    assert {link.method for link in links if link.rel in offered} <= {"POST"}


def test_a_task_shows_its_result_and_its_error() -> None:
    view = views.task_view(make_task(status=TaskStatus.COMPLETED, result={"a": 1}, finished_at=NOW))
    assert (view["result"], view["error"], view["status"]) == ({"a": 1}, None, "completed")
    assert "parameters" not in view
    json.dumps(view)


@given(st.tuples(st.integers(0, views.MAX_POSITION), st.integers(0, views.MAX_POSITION)))
def test_a_cursor_gives_back_its_place(position: tuple[int, int]) -> None:
    assert views.decode_cursor(views.encode_cursor(*position), (int, int)) == position


def test_a_cursor_of_jobs_holds_a_job_id() -> None:
    assert views.decode_cursor(views.encode_cursor(JOB_ID), (str,)) == (JOB_ID,)


def encoded(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize(
    ("cursor", "kinds"),
    [
        ("x", (str,)),
        ("ü", (str,)),
        ("{}", (str,)),
        ("A" * 5, (int,)),
        (encoded("a"), (str,)),
        (encoded(["a"]), (str,)),
        (encoded([JOB_ID + "\n"]), (str,)),
        (encoded(["\x00" * 32]), (str,)),
        (encoded([1]), (str,)),
        (encoded([JOB_ID]), (int,)),
        (encoded([True]), (int,)),
        (encoded([1.0]), (int,)),
        (encoded([-1]), (int,)),
        (encoded([2**63]), (int,)),
        (encoded([1]), (int, int)),
        (encoded([1, 2, 3]), (int, int)),
        (base64.urlsafe_b64encode(b"[" * 5000).decode(), (int,)),
    ],
)
def test_a_cursor_that_no_page_gave_out_is_refused(cursor: str, kinds: tuple[type, ...]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        views.decode_cursor(cursor, kinds)
    assert caught.value.errors[0]["field"] == "cursor"


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_cursor_or_one_of_our_errors(cursor: str) -> None:
    with contextlib.suppress(InvalidRequest):
        views.decode_cursor(cursor, (int, int))


def test_the_next_page_keeps_the_filters_and_drops_the_key() -> None:
    asked = {"status": "failed", "limit": "2", "code": "secret==", "cursor": "old"}
    links = views.next_link("/api/jobs", asked, "new")
    assert links == [{"rel": "next", "href": "/api/jobs?status=failed&limit=2&cursor=new", "method": "GET"}]


def test_the_last_page_has_no_next() -> None:
    assert views.next_link("/api/jobs", {}, None) == []
