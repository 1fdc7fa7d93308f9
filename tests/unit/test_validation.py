"""What a POST says is judged before anything is stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import Field

from controllers import CONTROLLERS
from controllers.base import Controller, JobParameters
from controllers.engine import validation
from schema.errors import InvalidRequest, TooLarge
from schema.jobs import Source
from schema.settings import Settings

SETTINGS = Settings(postgres_dsn="postgresql://nowhere/none")
HELLO = CONTROLLERS["hello_world"]
SEQUENTIAL = CONTROLLERS["hello_world_sequential"]


class SourceParameters(JobParameters):
    dataset_id: str
    resource_id: str
    size: int = Field(default=1, ge=1)


class SourceController(Controller):
    job_type = "source"
    Parameters = SourceParameters

    def source(self, parameters: JobParameters) -> tuple[str, str] | None:
        return parameters.dataset_id or "", parameters.resource_id or ""


def nested(levels: int) -> dict[str, Any]:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return {**value}


def faults(controller: Controller, body: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidRequest) as caught:
        validation.validate(controller, body, SETTINGS)
    return {fault["field"]: fault["message"] for fault in caught.value.errors}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", {}),
        (b"  \n", {}),
        (b"{}", {}),
        (b'{"n": 3}', {"n": 3}),
        (b'\xef\xbb\xbf{"n": 3}', {"n": 3}),
        ('{"message": "Grüße 🌍"}'.encode(), {"message": "Grüße 🌍"}),
        (rb'{"message": "\\u0000"}', {"message": "\\u0000"}),
        (b'{"n": 1, "n": 2}', {"n": 2}),
        (b'{"a":' * 500 + b"1" + b"}" * 500, nested(500)),
    ],
)
def test_a_json_object_is_read_whatever_surrounds_it(body: bytes, expected: dict[str, Any]) -> None:
    assert validation.parse_body(body) == expected


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{", "is not JSON"),
        (b"n=3", "is not JSON"),
        (b'{"n": NaN}', "NaN is not a JSON value"),
        (b'{"n": Infinity}', "Infinity is not a JSON value"),
        (b'{"n": -Infinity}', "-Infinity is not a JSON value"),
        (b"\xff\xfe\xfd", "is not JSON"),
        (b"[" * 5000, "is not JSON"),
        (b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}", "is not JSON|levels deep"),
        (b'{"a":' + b"[" * 500 + b"]" * 500 + b"}", "nested more than 500 levels deep"),
        (b'{"a":' * 501 + b"1" + b"}" * 501, "nested more than 500 levels deep"),
        (b'{"n": ' + b"9" * 5000 + b"}", "is not JSON"),
        (b"[]", "not an array"),
        (b'[{"n": 1}]', "not an array"),
        (b'"n"', "not a string"),
        (b"3", "not a number"),
        (b"true", "not a boolean"),
        (b"null", "not null"),
        (rb'{"message": "a\u0000b"}', "NUL"),
        (rb'{"message": "\\\u0000"}', "NUL"),
        (rb'{"\u0000": 1}', "NUL"),
        (rb'{"a": [{"b": "\u0000"}]}', "NUL"),
    ],
)
def test_what_is_no_storable_json_object_is_refused(body: bytes, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said) as caught:
        validation.parse_body(body)
    assert caught.value.error_code == "invalid_json"
    assert caught.value.errors
    assert caught.value.remediation


@pytest.mark.parametrize("extra", [0, 1])
def test_a_megabyte_is_the_limit(extra: int) -> None:
    body = b'{"message": "' + b"x" * (validation.MAX_BODY_BYTES - 15 + extra) + b'"}'
    if extra:
        with pytest.raises(TooLarge, match="1,000,001 bytes"):
            validation.parse_body(body)
    else:
        assert len(validation.parse_body(body)["message"]) == validation.MAX_BODY_BYTES - 15


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_one_of_our_errors(body: bytes) -> None:
    try:
        parsed = validation.parse_body(body)
    except InvalidRequest:
        return
    assert isinstance(parsed, dict)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


# The first text of a machine is slow: hypothesis makes its tables of characters.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.dictionaries(st.sampled_from(["n", "message", "dataset_id", "system", "x"]), JSON, max_size=4))
def test_any_parameters_are_valid_or_one_of_our_errors(body: dict[str, Any]) -> None:
    for controller in CONTROLLERS.values():
        try:
            stored = validation.validate(controller, body, SETTINGS).model_dump(mode="json", exclude_none=True)
        except InvalidRequest:
            continue
        json.dumps(stored, allow_nan=False).encode()


def test_all_faults_are_listed_not_the_first() -> None:
    listed = faults(HELLO, {"n": "3", "message": 5, "nn": 1, "system": "perhaps", "dataset_id": ""})
    assert set(listed) == {"n", "message", "nn", "system", "dataset_id"}
    assert listed["nn"] == "there is no such parameter"


def test_what_settings_refuse_is_listed_beside_what_is_not_valid_in_itself() -> None:
    body = {"dataset_id": "geostage-work", "resource_id": "a.gpkg", "target_schema": "secret", "chunk_size": 0, "x": 1}
    assert sorted(faults(CONTROLLERS["process_vector"], body)) == ["chunk_size", "dataset_id", "target_schema", "x"]


def test_a_missing_parameter_is_named() -> None:
    assert faults(SourceController(), {"size": 0, "resource_id": "a"}) == {
        "dataset_id": "is required",
        "size": "Input should be greater than or equal to 1",
    }


@pytest.mark.parametrize("n", [None, True, False, 0, 21, "3", 1.5, 1.0, -1, [], {}, 10**30])
def test_the_sequential_n_is_an_integer_between_1_and_20(n: object) -> None:
    assert faults(SEQUENTIAL, {"n": n}) == {"n": "n must be an integer between 1 and 20"}


@pytest.mark.parametrize("n", [1, 20])
def test_the_bounds_of_the_sequential_n_are_in(n: int) -> None:
    assert validation.validate(SEQUENTIAL, {"n": n}, SETTINGS).model_dump()["n"] == n


@pytest.mark.parametrize("n", [None, True, 0, 1001, "3", 1.5])
def test_the_n_of_hello_world_is_an_integer_from_1_to_1000(n: object) -> None:
    assert set(faults(HELLO, {"n": n})) == {"n"}


def test_defaults_are_filled_in() -> None:
    stored = validation.validate(SEQUENTIAL, {}, SETTINGS).model_dump(exclude_none=True)
    assert stored == {"n": 1, "message": "Sequential Hello Test", "system": False}


@pytest.mark.parametrize("job_type", sorted(CONTROLLERS))
def test_every_type_accepts_the_labels(job_type: str) -> None:
    fields = CONTROLLERS[job_type].Parameters.model_fields
    assert {"dataset_id", "resource_id", "version_id", "system"} <= set(fields)


WITH_A_CONTAINER = [name for name, controller in CONTROLLERS.items() if "dataset_id" in controller.example]
WITH_A_BLOB = [name for name in WITH_A_CONTAINER if "resource_id" in CONTROLLERS[name].example]


@pytest.mark.parametrize("job_type", WITH_A_CONTAINER)
@pytest.mark.parametrize("container", ["geostage-work", "azure-webjobs-hosts", "azure-webjobs-secrets"])
def test_reserved_containers_are_never_a_source(job_type: str, container: str) -> None:
    controller = CONTROLLERS[job_type]
    listed = faults(controller, {**controller.example, "dataset_id": container})
    assert listed["dataset_id"].startswith(f"{container} is reserved")


@pytest.mark.parametrize("job_type", WITH_A_BLOB)
@pytest.mark.parametrize("folder", ["../", "a/./", "a\\..\\"])
def test_no_blob_name_leads_out_of_its_container(job_type: str, folder: str) -> None:
    controller = CONTROLLERS[job_type]
    listed = faults(controller, {**controller.example, "resource_id": f"{folder}a.tif"})
    assert set(listed) >= {"resource_id"}


def test_every_job_type_with_a_source_says_so_in_its_example() -> None:
    named = {
        name
        for name, controller in CONTROLLERS.items()
        if (parameters := controller.Parameters.model_validate(controller.example))
        and (controller.source(parameters) or controller.container(parameters))
    }
    assert named == set(WITH_A_CONTAINER)


SOURCE = Source("bronze", "a.zip", etag='"1"', size=3)
BASE = validation.dedup_key("t", {"a": 1, "b": 2}, SOURCE)


@pytest.mark.parametrize(
    ("key", "same"),
    [
        (validation.dedup_key("t", {"b": 2, "a": 1}, SOURCE), True),
        (validation.dedup_key("t", {"a": 1, "b": 2}, Source("bronze", "a.zip", etag='"1"', size=4)), True),
        (validation.dedup_key("u", {"a": 1, "b": 2}, SOURCE), False),
        (validation.dedup_key("t", {"a": 1, "b": 3}, SOURCE), False),
        (validation.dedup_key("t", {"a": 1, "b": "2"}, SOURCE), False),
        (validation.dedup_key("t", {"a": 1, "b": 2}, Source("bronze", "a.zip", etag='"2"', size=3)), False),
        (validation.dedup_key("t", {"a": 1, "b": 2}, None), False),
    ],
)
def test_the_dedup_key_is_type_parameters_and_etag(key: str, same: bool) -> None:
    assert (key == BASE) is same


TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize(
    ("header", "kept"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-00", True),
        (None, False),
        ("", False),
        (f"ff-{TRACE}-{SPAN}-01", False),
        (f"00-{'0' * 32}-{SPAN}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE.upper()}-{SPAN}-01", False),
        (f"00-{TRACE}-{SPAN}-01-extra", False),
        (f"00-{TRACE}-{SPAN}-01\n", False),
        (f"00-{TRACE}-{SPAN}", False),
        ('{"action": "end"}', False),
    ],
)
def test_only_a_well_formed_traceparent_is_kept(header: str | None, kept: bool) -> None:
    assert validation.valid_traceparent(header) == (header if kept else None)


@pytest.mark.parametrize(
    ("header", "key"), [(None, None), ("", None), ("  ", None), ("k-1", "k-1"), ("x" * 255, "x" * 255)]
)
def test_an_idempotency_key_is_taken_as_it_is(header: str | None, key: str | None) -> None:
    assert validation.valid_idempotency_key(header) == key


@pytest.mark.parametrize("header", ["x" * 256, "a\x00b", "a\tb"])
def test_an_idempotency_key_that_cannot_be_stored_is_refused(header: str) -> None:
    with pytest.raises(InvalidRequest, match="Idempotency-Key") as caught:
        validation.valid_idempotency_key(header)
    assert caught.value.errors[0]["field"] == "Idempotency-Key"


def test_thousands_of_faults_with_long_names_make_a_short_answer() -> None:
    body = {f"{'x' * 1_000}{n}": 1 for n in range(900)}
    with pytest.raises(InvalidRequest, match="900 faults; the first 100 are listed") as caught:
        validation.validate(HELLO, body, SETTINGS)
    assert len(json.dumps([caught.value.errors, caught.value.info().as_json()])) < 30_000
