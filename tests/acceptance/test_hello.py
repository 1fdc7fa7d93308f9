"""hello_world and hello_world_sequential, to the letter."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.acceptance.client import Api, Json, problem_of


@pytest.fixture(scope="module")
def sequential(api: Api) -> tuple[Json, list[Json]]:
    """A job of three greetings, and its tasks."""
    job = api.run("hello_world_sequential", {"n": 3, "message": "Good day"})
    return job, api.tasks(job["job_id"])


def stage(tasks: list[Json], stage_n: int) -> list[Json]:
    return [task["result"] for task in tasks if task["stage_n"] == stage_n]


def test_hello_world_says_its_message_n_times(api: Api) -> None:
    job = api.run("hello_world", {"n": 5, "message": "Hi there"})
    assert job["status"] == "completed"
    assert job["result_data"] == {
        "hello_statistics": {
            "hellos_requested": 5,
            "hellos_successful": 5,
            "hellos_failed": 0,
            "success_rate": "100%",
        },
        "messages": ["Hi there"] * 5,
    }
    assert [entry["task_count"] for entry in job["stage_history"]] == [5]
    assert job["stage_sequence"] == {"1": "execute"}


@pytest.mark.parametrize("n", [None, True, 0, 1001, "3", 1.5])
def test_hello_world_greets_1_to_1000_times(api: Api, n: object) -> None:
    body = problem_of(api.post("jobs/hello_world", json={"n": n}), 400, "invalid_parameters")
    assert [fault["field"] for fault in body["errors"]] == ["n"]


@pytest.mark.parametrize("n", [None, True, False, 0, 21, "3", 1.5])
def test_the_sequential_n_is_between_1_and_20(api: Api, n: object) -> None:
    body = problem_of(api.post("jobs/hello_world_sequential", json={"n": n}), 400, "invalid_parameters")
    assert body["errors"] == [{"field": "n", "message": "n must be an integer between 1 and 20"}]


def test_the_defaults_of_sequential(api: Api) -> None:
    job = api.run("hello_world_sequential", {})
    assert (job["parameters"]["n"], job["parameters"]["message"]) == (1, "Sequential Hello Test")
    (first,) = stage(api.tasks(job["job_id"]), 1)
    assert first["message"].endswith("says: Sequential Hello Test - Initial Hello 1")


def test_the_job_row_shows_its_stages(sequential: tuple[Json, list[Json]]) -> None:
    job, _ = sequential
    assert job["status"] == "completed"
    assert (job["stages"], job["current_stage_n"], job["current_stage"]) == (3, 3, "response")
    assert job["stage_sequence"] == {"1": "initial_hello", "2": "validation", "3": "response"}
    assert [entry["stage"] for entry in job["stage_history"]] == ["initial_hello", "validation", "response"]
    assert {stage_n: by_status["completed"] for stage_n, by_status in job["tasks"].items()} == {"1": 3, "2": 1, "3": 3}


def test_the_first_stage_greets(sequential: tuple[Json, list[Json]]) -> None:
    job, tasks = sequential
    assert [without_time(result) for result in stage(tasks, 1)] == [
        {
            "status": "success",
            "hello_number": i,
            "message": f"Task {job['job_id']}-1-000{i} says: Good day - Initial Hello {i}",
            "stage": "initial_hello",
            "task_id": f"{job['job_id']}-1-000{i}",
        }
        for i in (1, 2, 3)
    ]


def test_the_second_stage_maps_the_tasks(sequential: tuple[Json, list[Json]]) -> None:
    job, tasks = sequential
    assert [without_time(result) for result in stage(tasks, 2)] == [
        {
            "status": "success",
            "stage": "validation",
            "validation_summary": {
                "stage1_tasks_total": 3,
                "stage1_tasks_successful": 3,
                "stage1_tasks_failed": 0,
                "ready_for_stage3": True,
            },
            "stage3_task_mapping": {f"{job['job_id']}-3-000{i}": f"{job['job_id']}-1-000{i}" for i in (1, 2, 3)},
        }
    ]


def test_the_third_stage_answers(sequential: tuple[Json, list[Json]]) -> None:
    job, tasks = sequential
    for i, result in enumerate(stage(tasks, 3), start=1):
        here, there = f"{job['job_id']}-3-000{i}", f"{job['job_id']}-1-000{i}"
        said = f"Task {here} saying hello to {there}"
        assert without_time(result) == {
            "status": "success",
            "stage": "response",
            "response_number": i,
            "current_task_id": here,
            "responds_to_task_id": there,
            "response_message": said,
            "original_hello_number": i,
            "conversation": {
                "stage1_said": f"Task {there} says: Good day - Initial Hello {i}",
                "stage3_responds": said,
            },
        }


def test_the_result_sums_up(sequential: tuple[Json, list[Json]]) -> None:
    job, _ = sequential
    data = job["result_data"]
    assert set(data) == {"sequential_hello_statistics", "stage_conversations", "stage_history"}
    assert data["sequential_hello_statistics"] == {
        "total_stages_completed": 3,
        "stage1_hellos_requested": 3,
        "stage1_hellos_successful": 3,
        "stage2_validation_passed": True,
        "stage3_responses_generated": 3,
        "overall_success_rate": "100%",
    }
    assert data["stage_conversations"] == [
        {
            "stage1_task_id": f"{job['job_id']}-1-000{i}",
            "stage1_message": f"Task {job['job_id']}-1-000{i} says: Good day - Initial Hello {i}",
            "stage3_task_id": f"{job['job_id']}-3-000{i}",
            "stage3_response": f"Task {job['job_id']}-3-000{i} saying hello to {job['job_id']}-1-000{i}",
        }
        for i in (1, 2, 3)
    ]


def test_durations_are_measured(sequential: tuple[Json, list[Json]]) -> None:
    job, tasks = sequential
    history = job["result_data"]["stage_history"]
    assert [set(entry) for entry in history] == [{"stage_n", "stage", "task_count", "status", "duration_seconds"}] * 3
    assert [entry["task_count"] for entry in history] == [3, 1, 3]
    for entry in history:
        mine = [task for task in tasks if task["stage_n"] == entry["stage_n"]]
        began = min(datetime.fromisoformat(task["started_at"]) for task in mine)
        ended = max(datetime.fromisoformat(task["finished_at"]) for task in mine)
        assert entry["duration_seconds"] == pytest.approx((ended - began).total_seconds(), abs=0.0011)
        assert entry["duration_seconds"] > 0
    for task in tasks:
        ran = datetime.fromisoformat(task["finished_at"]) - datetime.fromisoformat(task["started_at"])
        assert 0 <= task["result"]["processing_time_seconds"] < ran.total_seconds()


def test_twenty_greetings_are_all_answered(api: Api) -> None:
    job = api.run("hello_world_sequential", {"n": 20})
    assert job["result_data"]["sequential_hello_statistics"]["stage3_responses_generated"] == 20
    assert [c["stage1_task_id"][-4:] for c in job["result_data"]["stage_conversations"]] == [
        f"{i:04}" for i in range(1, 21)
    ]


def without_time(result: Json) -> dict[str, Any]:
    """A result without its measured time, which must be there."""
    assert isinstance(result["processing_time_seconds"], float)
    return {key: value for key, value in result.items() if key != "processing_time_seconds"}
