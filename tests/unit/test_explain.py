"""Why a job is where it is, in sentences."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest

from controllers.http.explain import SHOWN_TASKS, explain_job
from schema.errors import PermanentError
from schema.jobs import JobStatus, TaskStatus
from tests.fixtures.factories import JOB_ID, NOW, make_job, make_task

ERROR = PermanentError("The layer has no CRS.", remediation="Add a .prj file.").info().as_json()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"stage_tasks": None, "status": JobStatus.QUEUED}, "has not been started. Its message is sent again in 30 s."),
        ({"stage_tasks": None, "resend_at": NOW}, "sent again by the next sweep."),
        ({"stage_tasks": None, "start_failures": 2}, "after 2 failed start(s)"),
        ({"stage_tasks": 3}, "Stage 1 of 1 (execute): 0 of 3 task(s) running, 0 waiting."),
        ({"status": JobStatus.COMPLETED}, "The job has ended: completed."),
        ({"status": JobStatus.CANCELLED}, "The job was cancelled in stage 1 of 1 (execute)."),
        ({"status": JobStatus.FAILED, "error": ERROR}, "failed in stage 1 of 1 (execute): The layer has no CRS."),
    ],
)
def test_the_summary_says_where_the_job_stands(fields: dict[str, Any], said: str) -> None:
    assert said in explain_job(make_job(**fields), [], [], NOW, 10)["summary"]


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({}, "Waits for a worker; its message is sent again in 60 s"),
        ({"resend_at": NOW}, "Waits for a worker; its message is sent again by the next sweep"),
        ({"not_before": NOW + timedelta(seconds=20), "tries": 1}, "Try 2 of 3 is due in 20 s"),
        (
            {
                "status": TaskStatus.PROCESSING,
                "started_at": NOW - timedelta(seconds=5),
                "lease_until": NOW + timedelta(seconds=40),
            },
            "Running for 5 s; its worker holds it for another 40 s without a heartbeat",
        ),
        (
            {"status": TaskStatus.PROCESSING, "lease_until": NOW - timedelta(seconds=1)},
            "Its worker stopped answering; the sweep takes it back within a minute",
        ),
    ],
)
def test_every_open_task_says_what_it_waits_for(fields: dict[str, Any], why: str) -> None:
    (waiting,) = explain_job(make_job(), [make_task(**fields)], [], NOW, 10)["waiting_for"]
    assert waiting["why"] == why


def test_the_last_error_of_a_task_that_is_tried_again_is_shown() -> None:
    (waiting,) = explain_job(make_job(), [make_task(error=ERROR)], [], NOW, 10)["waiting_for"]
    assert waiting["last_error"] == "The layer has no CRS."


def test_long_lists_are_cut_and_counted() -> None:
    tasks = [make_task(task_index=i) for i in range(1, 101)]
    explained = explain_job(make_job(stage_tasks=200), tasks, tasks, NOW, 10)
    assert (len(explained["waiting_for"]), explained["waiting_for_count"]) == (SHOWN_TASKS, 100)
    assert (len(explained["failed_tasks"]), explained["failed_tasks_count"]) == (SHOWN_TASKS, 100)
    assert "100 failed." in explained["summary"]
    json.dumps(explained)


@pytest.mark.parametrize(
    ("fields", "href", "why"),
    [
        ({"status": JobStatus.FAILED, "error": ERROR}, f"/api/jobs/{JOB_ID}/retry", "not completed"),
        (
            {"status": JobStatus.FAILED, "error": ERROR, "work_area": "gone"},
            "/api/jobs/hello_world",
            "Add a .prj file.",
        ),
        ({"status": JobStatus.CANCELLED}, "/api/jobs/hello_world", "Submit it again."),
        ({"status": JobStatus.COMPLETED_WITH_ERRORS}, "/api/jobs/hello_world", "what failed"),
        ({}, f"/api/jobs/{JOB_ID}/cancel", "Nothing is needed"),
    ],
)
def test_the_next_step_is_a_call_that_helps(fields: dict[str, Any], href: str, why: str) -> None:
    step = explain_job(make_job(**fields), [], [], NOW, 10)["next_step"]
    assert (step["method"], step["href"]) == ("POST", href)
    assert why in step["why"]


def test_a_completed_job_needs_nothing() -> None:
    assert explain_job(make_job(status=JobStatus.COMPLETED), [], [], NOW, 10)["next_step"] is None


def test_a_lease_a_retry_and_a_message_are_given_with_their_times() -> None:
    later = NOW + timedelta(seconds=20)
    running = make_task(status=TaskStatus.PROCESSING, started_at=NOW, lease_until=later)
    retried = make_task(not_before=later, tries=1, resend_at=later + timedelta(seconds=60))
    unsent = make_task(resend_at=NOW)
    held, waiting, lost = explain_job(make_job(), [running, retried, unsent], [], NOW, 10)["waiting_for"]
    assert held["lease_until"] == later.isoformat()
    assert waiting["retry_at"] == later.isoformat()
    assert waiting["message"]["state"] == "sent"
    assert lost["message"] == {
        "queue": "geo-light-tasks",
        "content": {"task_id": lost["task_id"]},
        "state": "unsent",
        "next_send_at": NOW.isoformat(),
    }


@pytest.mark.parametrize(("resend_at", "state"), [(NOW + timedelta(seconds=30), "sent"), (NOW, "unsent")])
def test_a_stage_that_nobody_started_names_its_message(resend_at: datetime, state: str) -> None:
    job = make_job(status=JobStatus.QUEUED, stage_tasks=None, resend_at=resend_at)
    message = explain_job(job, [], [], NOW, 10)["start_message"]
    assert (message["queue"], message["content"]) == ("geo-jobs", {"job_id": JOB_ID, "stage_n": 1})
    assert message["state"] == state


@pytest.mark.parametrize("fields", [{}, {"status": JobStatus.CANCELLED, "stage_tasks": None}])
def test_a_stage_that_was_started_or_has_ended_waits_for_no_message(fields: dict[str, Any]) -> None:
    assert explain_job(make_job(**fields), [], [], NOW, 10)["start_message"] is None


def test_a_silent_sweep_is_told_and_health_is_the_call_that_helps() -> None:
    explained = explain_job(make_job(stage_tasks=None), [], [], NOW, 500)
    assert "The sweep has not run" in explained["summary"]
    assert (explained["next_step"]["method"], explained["next_step"]["href"]) == ("GET", "/api/health")
    ended = explain_job(make_job(status=JobStatus.COMPLETED), [], [], NOW, 500)
    assert "sweep" not in ended["summary"]
