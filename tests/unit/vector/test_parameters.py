"""Parameters of process_vector: each fault is one sentence about the field that has it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from controllers.engine.validation import validate
from controllers.jobs.vector import ProcessVector, ProcessVectorParameters
from schema.errors import InvalidRequest, PermanentError
from schema.jobs import TaskResult, TaskStatus
from schema.settings import Settings
from tests.fixtures.factories import make_job


def faults(**parameters: Any) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        ProcessVectorParameters.model_validate({"dataset_id": "bronze", "resource_id": "a.zip", **parameters})
    return [(error["loc"], error["msg"]) for error in caught.value.errors()]


@pytest.mark.parametrize("limit", ["101%", "100.5%", "-1%", "1", "1%\n", "", -1, 0.5, True, []])
def test_a_wrong_max_rejected_has_one_fault(limit: object) -> None:
    ((place, message),) = faults(max_rejected=limit)
    assert place == ("max_rejected",)
    assert message.endswith('must be a number of rows, 0 or more, or a share from "0%" to "100%"')


@pytest.mark.parametrize("limit", [0, 7, "0%", "1.5%", "100%", "100.0%"])
def test_a_limit_is_a_number_or_a_share(limit: object) -> None:
    data = {"dataset_id": "bronze", "resource_id": "a.zip", "max_rejected": limit}
    assert ProcessVectorParameters.model_validate(data).max_rejected == limit


@pytest.mark.parametrize("name", ["日本.geojson", "x/---.geojson"])
def test_a_file_whose_name_makes_no_table_needs_target_table(name: str) -> None:
    ((place, message),) = faults(resource_id=name)
    assert place == ("target_table",)
    assert message.endswith("is required, because no identifier can be made of the file's name")
    assert ProcessVectorParameters(dataset_id="bronze", resource_id=name, target_table="japan").target_table == "japan"


def test_layers_and_chunks_beyond_what_a_row_holds_fail_the_job_and_are_not_left_out() -> None:
    excerpt = {"plan": "plan.json", "chunks": [], "result_path": "silver/_results/a.json", "bytes": 300_000}
    result = TaskResult("a-1-0001", 1, TaskStatus.COMPLETED, excerpt, None, {})
    with pytest.raises(PermanentError, match="more layers, or more chunks"):
        ProcessVector().stage_data(ProcessVector.stages[0], make_job(), [result])


@pytest.mark.parametrize("table", ["tiles", "tiling_plans"])
def test_the_tables_of_geostage_itself_are_no_targets(table: str) -> None:
    body = {"dataset_id": "bronze", "resource_id": "a.zip", "target_table": table}
    with pytest.raises(InvalidRequest) as caught:
        validate(ProcessVector(), body, Settings(postgres_dsn="postgresql://nowhere"))
    message = f"geo.{table} is a table of Geostage's own"
    assert caught.value.errors == [{"field": "target_table", "message": message}]


@pytest.mark.parametrize("name", ["", "1a", "_a", "A", "a-b", "a b", "a.b", "ä", "a;", "a" * 51, "a__rejects"])
def test_a_wrong_target_table_has_one_fault(name: str) -> None:
    ((place, _),) = faults(target_table=name)
    assert place == ("target_table",)


@pytest.mark.parametrize("name", ["a", "a1_", "a" * 50, "order", "a__rejects2"])
def test_a_target_table_is_a_plain_short_name(name: str) -> None:
    data = {"dataset_id": "bronze", "resource_id": "a.zip", "target_table": name}
    assert ProcessVectorParameters.model_validate(data).target_table == name
