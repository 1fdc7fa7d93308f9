"""The controllers of containers and files: which tasks, and what becomes of their results."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controllers import CONTROLLERS
from controllers.jobs.catalog import FileParameters
from controllers.jobs.containers import ListContainer, ListContainerParameters, SyncContainer, SyncContainerParameters
from controllers.jobs.raster import ReprojectParameters
from schema.jobs import Json, TaskResult, TaskStatus
from services.containers.sync import BatchResult, BatchTask, BlobCounts, Comparison
from tests.fixtures.factories import make_job

LIST = ListContainerParameters(dataset_id="bronze").model_dump(mode="json")
SYNC = SyncContainerParameters(dataset_id="Bronze").model_dump(mode="json")
FOUND = Comparison("job/0001/", batches=3, missing=5, missing_parts=1, found=BlobCounts(blobs=9, new=7)).as_json()


def ended(result: Json | None, error: Json | None = None, **parameters: Any) -> TaskResult:
    status = TaskStatus.FAILED if error else TaskStatus.COMPLETED
    return TaskResult("task", 1, status, result, error, parameters)


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        ([], [("", False)]),
        (["a/", "b/"], [("", False), ("a/", True), ("b/", True)]),
        (None, [("", True)]),
    ],
)
def test_a_listing_is_shared_out_by_folders(folders: list[str] | None, expected: list[tuple[str, bool]]) -> None:
    controller = ListContainer()
    job = make_job(parameters=LIST)
    specs = controller.create_tasks(controller.stages[1], job, [ended({"folders": folders})])
    assert [(spec.parameters["prefix"], spec.parameters["deep"]) for spec in specs] == expected
    assert sum(spec.parameters["inline_bytes"] for spec in specs) <= 120_000


def test_each_batch_is_a_task_and_without_batches_there_is_none() -> None:
    controller = SyncContainer()
    for count in (0, 3):
        job = make_job(parameters=SYNC, stage_data={"list": {**FOUND, "batches": count}})
        specs = controller.create_tasks(controller.stages[1], job, [])
        assert [spec.parameters["batch"] for spec in specs] == [
            f"job/0001/batch-{number:06d}.json" for number in range(1, count + 1)
        ]
        assert all(spec.parameters["collection_id"] == "bronze" for spec in specs)


def test_a_batch_that_failed_is_named_to_the_last_stage_and_ends_the_job_with_errors() -> None:
    controller = SyncContainer()
    error = {"code": "process_died", "message": "It died.", "remediation": "Look."}
    failed = ended(None, error, **BatchTask("b", "bronze").as_json())
    done = [ended(BatchResult(4, 1, "f").as_json()), failed]
    job = make_job(parameters=SYNC, stage_data={"list": FOUND})
    job.stage_data.update(controller.stage_data(controller.stages[1], job, done))
    (spec,) = controller.create_tasks(controller.stages[2], job, done)
    assert spec.parameters["failed_blobs"] == ["f"]
    assert spec.parameters["failed_batches"] == [{"batch": "b", **error}]
    report = {"failed": 2, "failed_files": [], "missing_items": [], "removed": 5, "report_path": None}
    outcome = controller.aggregate_results(job, [ended(report)])
    assert outcome.status == "completed_with_errors"
    assert outcome.result_data["summary"] == {
        **FOUND["found"], "catalogued": 4, "batches": 2, "failed_batches": 1, "failed": 2, "missing": 5,
        "removed": 5,
    }  # fmt: skip
    assert [(warning["code"], warning["count"]) for warning in outcome.warnings] == [("files_not_catalogued", 2)]


@pytest.mark.parametrize(("wanted", "prefix"), [("all", ""), ("a/", "a/"), ("all/", "all/"), ("ALL", "ALL")])
def test_all_is_everything_and_anything_else_a_prefix(wanted: str, prefix: str) -> None:
    controller = SyncContainer()
    job = make_job(parameters={**SYNC, "resource_id": wanted})
    (spec,) = controller.create_tasks(controller.stages[0], job, [])
    assert spec.parameters["prefix"] == prefix


@pytest.mark.parametrize(
    ("job_type", "detail"),
    [
        ("catalog_file", "header"), ("stac_item_quick", "quick"), ("stac_item_full", "full"),
        ("stac_item_smart", "smart"),
    ],
)  # fmt: skip
def test_the_forms_of_catalog_file_differ_in_detail(job_type: str, detail: str) -> None:
    controller = CONTROLLERS[job_type]
    job = make_job(parameters=FileParameters(dataset_id="b", resource_id="a.tif").model_dump(mode="json"))
    (spec,) = controller.create_tasks(controller.stages[0], job, [])
    assert (spec.task_type, spec.parameters) == ("catalog_file", {"collection_id": "b", "detail": detail})
    assert [stage.name for stage in controller.stages] == ["catalog"]


@pytest.mark.parametrize(
    ("model", "given"),
    [
        (ListContainerParameters, {}),
        (ListContainerParameters, {"dataset_id": "b", "limit": 0}),
        (ListContainerParameters, {"dataset_id": "b", "limit": True}),
        (ListContainerParameters, {"dataset_id": "b", "prefix": "a\nb"}),
        (SyncContainerParameters, {"dataset_id": "b", "remove_missing": "yes"}),
        (SyncContainerParameters, {"dataset_id": "b", "resource_id": ""}),
        (SyncContainerParameters, {"dataset_id": "b", "collection_id": "x'; DROP TABLE app.jobs; --"}),
        (FileParameters, {"dataset_id": "b"}),
        (FileParameters, {"dataset_id": "b", "resource_id": "a.txt"}),
        (FileParameters, {"dataset_id": "b", "resource_id": "a.vrt"}),
        (FileParameters, {"dataset_id": "b", "resource_id": "a.tif", "collection_id": "../x"}),
        (FileParameters, {"dataset_id": "b", "resource_id": "a.tif", "source_crs": "EPSG:4326"}),
        (ReprojectParameters, {"dataset_id": "b", "resource_id": "a.tif"}),
        (ReprojectParameters, {"dataset_id": "b", "resource_id": "a.tif", "target_crs": "native"}),
        (ReprojectParameters, {"dataset_id": "b", "resource_id": "/vsicurl/a.tif", "target_crs": "EPSG:3857"}),
    ],
)
def test_parameters_that_make_no_sense_are_refused(model: Any, given: Json) -> None:
    with pytest.raises(ValidationError):
        model(**given)
