"""The hello job types: fan-out, hand-over, aggregation."""

from __future__ import annotations

from typing import Any

import pytest

from controllers.jobs.hello import HelloWorld, HelloWorldSequential, percent
from schema.jobs import Job, JobStatus, Json, TaskResult, TaskStatus, task_id_of
from tests.fixtures.factories import JOB_ID, make_job

HELLO, SEQUENTIAL = HelloWorld(), HelloWorldSequential()


def result(stage_n: int, index: int, value: Json | None, parameters: Json | None = None) -> TaskResult:
    status = TaskStatus.COMPLETED if value is not None else TaskStatus.FAILED
    return TaskResult(task_id_of(JOB_ID, stage_n, index), index, status, value, None, parameters or {})


def hello_job(n: int) -> Job:
    return make_job(parameters={"n": n, "message": "Hi"})


def test_hello_world_fans_out_to_n_tasks() -> None:
    specs = HELLO.create_tasks(HELLO.stages[0], hello_job(1000), [])
    assert len(specs) == 1000
    assert [spec.parameters["hello_number"] for spec in specs] == list(range(1, 1001))
    assert {spec.task_type for spec in specs} == {"hello"}


@pytest.mark.parametrize(
    ("said", "failed", "status", "rate"),
    [
        (3, 0, JobStatus.COMPLETED, "100%"),
        (2, 1, JobStatus.COMPLETED_WITH_ERRORS, "66.67%"),
        (0, 3, JobStatus.FAILED, "0%"),
    ],
)
def test_failed_greetings_are_counted(said: int, failed: int, status: JobStatus, rate: str) -> None:
    results = [result(1, i, {"message": "Hi"} if i <= said else None) for i in range(1, said + failed + 1)]
    outcome = HELLO.aggregate_results(hello_job(said + failed), results)
    assert outcome.status is status
    assert outcome.result_data["messages"] == ["Hi"] * said
    assert outcome.result_data["hello_statistics"] == {
        "hellos_requested": said + failed,
        "hellos_successful": said,
        "hellos_failed": failed,
        "success_rate": rate,
    }


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [(1, 1, "100%"), (0, 5, "0%"), (1, 3, "33.33%"), (999, 1000, "99.9%"), (9999, 10_000, "99.99%")],
)
def test_a_share_is_never_rounded_up_to_all(part: int, whole: int, text: str) -> None:
    assert percent(part, whole) == text


def sequential_job(**fields: Any) -> Job:
    return make_job(
        job_type="hello_world_sequential",
        stages=3,
        stage_sequence={"1": "initial_hello", "2": "validation", "3": "response"},
        parameters={"n": 2, "message": "Hi"},
        **fields,
    )


INITIAL = [result(1, i, {"message": f"said {i}"}, {"hello_number": i, "message": "Hi"}) for i in (1, 2)]
MAPPING = {task_id_of(JOB_ID, 3, i): task_id_of(JOB_ID, 1, i) for i in (1, 2)}


def test_the_stages_hand_on_to_one_another() -> None:
    initial, validation, response = SEQUENTIAL.stages
    job = sequential_job()
    assert len(SEQUENTIAL.create_tasks(initial, job, [])) == 2
    (checked,) = SEQUENTIAL.create_tasks(validation, job, INITIAL)
    assert [hello["responds_to_task_id"] for hello in checked.parameters["hellos"]] == list(MAPPING.values())
    verdict = {"validation_summary": {"ready_for_stage3": True}, "stage3_task_mapping": MAPPING}
    passed_on = SEQUENTIAL.stage_data(validation, job, [result(2, 1, verdict, checked.parameters)])
    assert passed_on == {"validation_passed": True, "stage3_task_mapping": MAPPING}
    specs = SEQUENTIAL.create_tasks(
        response, sequential_job(stage_data=passed_on), [result(2, 1, verdict, checked.parameters)]
    )
    assert [spec.parameters["responds_to_task_id"] for spec in specs] == list(MAPPING.values())
    assert [spec.parameters["stage1_said"] for spec in specs] == ["said 1", "said 2"]


def test_the_result_puts_greetings_and_answers_side_by_side() -> None:
    answers = [
        result(
            3,
            i,
            {
                "current_task_id": task_id_of(JOB_ID, 3, i),
                "responds_to_task_id": task_id_of(JOB_ID, 1, i),
                "response_message": f"answer {i}",
                "conversation": {"stage1_said": f"said {i}", "stage3_responds": f"answer {i}"},
            },
        )
        for i in (1, 2)
    ]
    entry = {
        "stage_n": 1,
        "stage": "x",
        "task_count": 2,
        "status": "completed",
        "completed_at": "t",
        "duration_seconds": 0.1,
    }
    job = sequential_job(stage_history=[entry] * 3, stage_data={"hellos_successful": 2, "validation_passed": True})
    data = SEQUENTIAL.aggregate_results(job, answers).result_data
    assert data["sequential_hello_statistics"]["overall_success_rate"] == "100%"
    assert data["stage_conversations"][0] == {
        "stage1_task_id": task_id_of(JOB_ID, 1, 1),
        "stage1_message": "said 1",
        "stage3_task_id": task_id_of(JOB_ID, 3, 1),
        "stage3_response": "answer 1",
    }
    assert set(data["stage_history"][0]) == {"stage_n", "stage", "task_count", "status", "duration_seconds"}
