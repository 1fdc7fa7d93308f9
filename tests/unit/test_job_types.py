"""Job types as GET /api/job-types shows them: described, with examples that are valid, and with labels apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from pydantic import create_model

from controllers import CONTROLLERS
from controllers.base import JobParameters
from controllers.engine import validation
from controllers.http.openapi import document
from controllers.http.poison import PoisonAction
from controllers.http.queries import Queries
from controllers.http.views import job_type_view
from repositories.postgres import Database
from schema.errors import NotFound
from schema.jobs import Json
from schema.settings import Settings

SETTINGS = Settings(postgres_dsn="postgresql://u:p@h/d")
LABELS = {"dataset_id": "a", "resource_id": "b", "version_id": "c", "system": True}
VIEWS = {name: job_type_view(controller) for name, controller in CONTROLLERS.items()}
FIELDS = [(job_type, name) for job_type, view in VIEWS.items() for name in view["parameters"]["properties"]]

each_type = pytest.mark.parametrize("job_type", sorted(CONTROLLERS))


def fields_of(schema: Any, where: str = "") -> Iterator[tuple[str, Json]]:
    """Each property of a schema and of those within it, with its path."""
    if isinstance(schema, list):
        for part in schema:
            yield from fields_of(part, where)
    elif isinstance(schema, dict):
        for name, field in schema.get("properties", {}).items():
            yield f"{where}.{name}", field
            yield from fields_of(field, f"{where}.{name}")
        for key in ("anyOf", "items", "additionalProperties"):
            yield from fields_of(schema.get(key), where)


def undescribed(schema: Json) -> list[str]:
    """Paths of the fields whose meaning is not told in a sentence."""
    return [path for path, field in fields_of(schema) if not str(field.get("description", "")).endswith(".")]


@each_type
def test_the_example_is_valid(job_type: str) -> None:
    view = VIEWS[job_type]
    jsonschema.validate(view["example"], view["parameters"])
    assert validation.validate(CONTROLLERS[job_type], view["example"], SETTINGS)


@each_type
def test_the_example_names_nothing_that_is_left_to_its_default(job_type: str) -> None:
    properties = VIEWS[job_type]["parameters"]["properties"]
    given = VIEWS[job_type]["example"].items()
    assert not [name for name, value in given if value == properties[name].get("default", ())]


@pytest.mark.parametrize(("job_type", "name"), FIELDS)
def test_the_examples_of_a_parameter_are_valid_and_not_its_default(job_type: str, name: str) -> None:
    schema = VIEWS[job_type]["parameters"]["properties"][name]
    field = CONTROLLERS[job_type].Parameters.model_fields[name]
    kind: Any = field.annotation
    alone: Any = create_model("Alone", value=(kind, field))
    assert schema["examples"]
    for value in schema["examples"]:
        jsonschema.validate(value, schema)
        alone(value=value)
    only_one_is_allowed = len(schema.get("enum", "ab")) == 1 or "const" in schema
    assert only_one_is_allowed or schema.get("default", ()) not in schema["examples"]


@each_type
def test_every_parameter_is_described(job_type: str) -> None:
    assert not undescribed(CONTROLLERS[job_type].Parameters.model_json_schema())


def test_every_key_of_an_answer_is_described() -> None:
    schemas = document(CONTROLLERS)["components"]["schemas"]
    assert {name: undescribed(schema) for name, schema in schemas.items() if undescribed(schema)} == {}
    assert not undescribed(PoisonAction.model_json_schema())


def test_every_part_of_a_path_header_and_query_parameter_is_described() -> None:
    paths = document(CONTROLLERS)["paths"]
    operations = [item for path in paths.values() for key, item in path.items() if key != "parameters"]
    asked = [one for item in [*paths.values(), *operations] for one in item.get("parameters", [])]
    assert {one["in"] for one in asked} == {"path", "query", "header"}
    assert not [one["name"] for one in asked if not one["description"].endswith(".")]


@each_type
def test_a_label_is_a_parameter_of_its_own_or_stands_apart(job_type: str) -> None:
    view = VIEWS[job_type]
    used = set(view["parameters"]["properties"])
    assert not used & set(view["labels"])
    assert used | set(view["labels"]) == set(CONTROLLERS[job_type].Parameters.model_fields)
    assert set(LABELS) <= used | set(view["labels"])
    assert all(schema["description"].startswith("Label:") for schema in view["labels"].values())


@each_type
def test_labels_that_stand_apart_are_accepted_and_stored(job_type: str) -> None:
    controller = CONTROLLERS[job_type]
    labels = {name: LABELS[name] for name in controller.Parameters.labels()}
    stored = validation.validate(controller, {**controller.example, **labels}, SETTINGS).model_dump(mode="json")
    assert {name: stored[name] for name in labels} == labels


def test_a_label_that_a_parent_declares_is_used_by_its_children() -> None:
    class Versioned(JobParameters):
        version_id: str = "v1"

    class Child(Versioned):
        n: int = 1

    assert JobParameters.labels() == ("dataset_id", "resource_id", "version_id", "system")
    assert Child.labels() == ("dataset_id", "resource_id", "system")


def test_types_list_only_what_they_use() -> None:
    own = {name: set(view["parameters"]["properties"]) for name, view in VIEWS.items()}
    assert not own["hello_world"] & set(LABELS)
    assert not own["validate_raster"] & {"version_id", "collection_id"}
    assert not own["cog_conversion"] & {"target_crs", "optimize", "collection_id", "max_raster_size_gb"}
    assert not own["generate_tiling_plan"] & {"version_id", "collection_id", "plan_id"}
    assert not own["tile_raster"] & {"max_raster_size_gb"}
    assert own["process_large_raster"] == own["tile_raster"] | {"max_raster_size_gb"}
    assert own["reproject_raster"] == own["process_raster"]


def test_a_long_label_of_a_type_without_outputs_makes_no_name_too_long() -> None:
    parameters = {"dataset_id": "bronze", "resource_id": "a.tif", "version_id": 1024 * "v"}
    assert validation.validate(CONTROLLERS["validate_raster"], parameters, SETTINGS)


def test_a_type_is_shown_alone_as_in_the_list() -> None:
    queries = Queries(Database("postgresql://nobody@localhost/none"), CONTROLLERS)
    listed = {entry["job_type"]: entry for entry in queries.job_types()["job_types"]}
    assert listed == {job_type: queries.job_type(job_type) for job_type in CONTROLLERS}


def test_an_unknown_type_is_answered_with_those_that_there_are() -> None:
    queries = Queries(Database("postgresql://nobody@localhost/none"), CONTROLLERS)
    with pytest.raises(NotFound, match="no job type 'proces_vector'") as caught:
        queries.job_type("proces_vector")
    assert (caught.value.info().code, "process_vector" in caught.value.info().remediation) == ("unknown_job_type", True)


def test_every_type_says_what_it_does_in_a_sentence_or_two() -> None:
    said = [view["description"] for view in VIEWS.values()]
    assert [text for text in said if not text.endswith(".") or len(text) < 50 or text.count(". ") > 1] == []
    assert [text for text in said if "\n" in text or "Stages:" in text or len(text) > 250] == []
    assert len(set(said)) == len(said)
