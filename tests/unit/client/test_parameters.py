"""Text of a command line as the JSON that a schema asks for, and schemas as tables for people."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest

from controllers import CONTROLLERS
from controllers.http.views import job_type_view
from geostage_client.errors import ClientError, UsageError
from geostage_client.job_types import example_command, parameter_rows
from geostage_client.parameters import parse_json, parse_options

VECTOR = CONTROLLERS["process_vector"].Parameters.model_json_schema()
RASTER = CONTROLLERS["process_raster"].Parameters.model_json_schema()
SPATIAL = CONTROLLERS["query_spatial"].Parameters.model_json_schema()


@pytest.mark.parametrize(
    ("schema", "text", "value"),
    [
        (VECTOR, "chunk_size=500", 500),
        (VECTOR, "dry_run=true", True),
        (VECTOR, "dry_run=No", False),
        (VECTOR, "layer=5", "5"),
        (VECTOR, "layer=null", None),
        (VECTOR, "layer=a=b c", "a=b c"),
        (VECTOR, "layer=", ""),
        (VECTOR, "max_rejected=5", 5),
        (VECTOR, "max_rejected=1%", "1%"),
        (VECTOR, "geometry_type=point", "point"),
        (RASTER, "nodata=-9999", -9999),
        (RASTER, "nodata=-1e3", -1000.0),
        (RASTER, "nodata=nan", "nan"),
        (RASTER, "nodata=NaN", "NaN"),
        (RASTER, "version_id=2", "2"),
        (RASTER, "max_raster_size_gb=0.5", 0.5),
        (SPATIAL, "bbox=[1, 2, 3, 4]", [1, 2, 3, 4]),
        (SPATIAL, 'intersects={"type": "Point"}', {"type": "Point"}),
    ],
)
def test_a_value_gets_the_type_that_the_schema_asks_for(schema: dict[str, Any], text: str, value: object) -> None:
    (given,) = parse_options([text], "x", schema).values()
    assert given == value
    assert type(given) is type(value)


@pytest.mark.parametrize("text", ["chunk_size=many", "chunk_size=1.5", "chunk_size=true", "dry_run=perhaps"])
def test_a_value_of_another_type_is_refused(text: str) -> None:
    with pytest.raises(ClientError, match="must be of type") as caught:
        parse_options([text], "process_vector", VECTOR)
    assert caught.value.remedy
    assert caught.value.exit_code == 1


def test_a_name_that_is_not_known_is_refused_with_those_that_are_near() -> None:
    with pytest.raises(ClientError, match="process_vector has no parameter chunksize") as caught:
        parse_options(["chunksize=5"], "process_vector", VECTOR)
    assert "chunk_size" in caught.value.remedy


@pytest.mark.parametrize("texts", [["layer"], ["=5"], [""], ["layer=a", "layer=b"]])
def test_an_option_that_is_malformed_or_given_twice_is_a_wrong_command_line(texts: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_options(texts, "process_vector", VECTOR)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("text", ["{", "[1]", "5", "", "null", "[" * 100_000])
def test_parameters_that_are_not_a_json_object_are_a_wrong_command_line(text: str) -> None:
    with pytest.raises(UsageError):
        parse_json(text)


@pytest.mark.parametrize("job_type", sorted(CONTROLLERS))
def test_every_job_type_can_be_shown(job_type: str) -> None:
    view = job_type_view(CONTROLLERS[job_type])
    schema = view["parameters"]
    rows = parameter_rows(schema)
    assert {row[0] for row in rows} == set(schema["properties"])
    assert all("{" not in row[1] and row[1] != "any" for row in rows)
    required = [row[0] for row in rows if row[2] == "required"]
    assert [row[0] for row in rows[: len(required)]] == required == schema.get("required", [])
    command = shlex.split(example_command(view))
    assert command[:3] == ["geostage", "submit", job_type]
    assert set(schema["properties"]) >= set(json.loads(command[3])) >= set(required)


def test_a_row_shows_type_default_and_meaning() -> None:
    rows = {row[0]: row[1:] for row in parameter_rows(VECTOR)}
    assert rows["chunk_size"][:2] == ("integer 1..100000", "10000")
    assert rows["load_method"][:2] == ("replace | append", "replace")
    assert rows["resource_id"][1] == "required"
    assert rows["layer"][:2] == ("string", "")
    assert {row[0]: row[1] for row in parameter_rows(SPATIAL)}["bbox"] == "list of number"
    resampling = {row[0]: row[1:] for row in parameter_rows(RASTER)}["resampling"]
    assert resampling[0] == "choice"
    assert "One of: nearest, bilinear, " in resampling[2]


def test_the_example_of_a_type_is_quoted_for_the_shell() -> None:
    command = example_command({"job_type": "x", "example": {"name": "l'été"}})
    assert json.loads(shlex.split(command)[3]) == {"name": "l'été"}
