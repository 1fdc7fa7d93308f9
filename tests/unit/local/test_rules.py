"""What the real Functions host refuses is refused here, in a sentence that says what to do."""

from collections.abc import Callable, Sequence
from typing import Any

import azure.functions as func
import pytest

from local.host.rules import check
from tests.unit.local.apps import ENVIRONMENT, HOST_JSON, http_app, queue_app, timer_app


def functions_of(*apps: func.FunctionApp) -> list[Any]:
    return [function for app in apps for function in app.get_functions()]


def test_a_sound_app_is_not_refused() -> None:
    functions = functions_of(http_app("jobs/{job_id}"), queue_app(), timer_app("*/30 * * * * *"))
    assert check(functions, HOST_JSON, ENVIRONMENT) == []


@pytest.mark.parametrize(
    ("apps", "said"),
    [
        ([http_app("a", "same"), http_app("b", "Same")], "2 functions are named 'same'"),
        ([http_app("a", "9lives")], "function name '9lives' is not allowed"),
        ([http_app("a", "host")], "function name 'host' is not allowed"),
        ([http_app("admin/keys")], "may not begin with 'admin'"),
        ([http_app("/Runtime")], "may not begin with 'admin' or 'runtime'"),
        ([http_app("a/{x}", "one"), http_app("A/{y}", "two", ["GET"])], "'one' and 'two' both answer GET api/A/{y}"),
        ([http_app("a/{x:int}")], "'{x:int}'"),
        ([queue_app("Tiny")], "'Tiny', which is not a valid queue name"),
        ([queue_app("ab")], "not a valid queue name"),
        ([queue_app("a--b")], "not a valid queue name"),
        ([queue_app(connection="Elsewhere")], "connection setting 'Elsewhere'"),
        ([queue_app("%QUEUE%")], "the setting QUEUE does not exist: set it"),
        ([timer_app("*/5 * * * *")], "wrong schedule: '*/5 * * * *' has 5 fields"),
    ],
)
def test_a_faulty_function_is_refused(apps: Sequence[func.FunctionApp], said: str) -> None:
    sentences = check(functions_of(*apps), HOST_JSON, ENVIRONMENT)
    assert any(said in sentence for sentence in sentences), sentences


def test_a_queue_function_must_not_have_an_output_or_a_result() -> None:
    app = func.FunctionApp()

    @app.queue_trigger(arg_name="message", queue_name="tiny", connection="AzureWebJobsStorage")
    @app.queue_output(arg_name="$return", queue_name="next", connection="AzureWebJobsStorage")
    def on_message(message: func.QueueMessage) -> str:
        return str(message.id)

    sentences = check(app.get_functions(), HOST_JSON, ENVIRONMENT)
    assert len(sentences) == 2
    assert "output binding ($return)" in sentences[0]
    assert "returns a value" in sentences[1]


def test_a_parameter_is_named_as_its_binding() -> None:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route("a")
    def answer(_request: func.HttpRequest) -> func.HttpResponse:
        return func.HttpResponse()

    assert len(check(app.get_functions(), HOST_JSON, ENVIRONMENT)) == 2


def test_a_trigger_of_another_kind_is_refused() -> None:
    app = func.FunctionApp()

    @app.blob_trigger(arg_name="blob", path="bronze", connection="AzureWebJobsStorage")
    def on_blob(blob: func.InputStream) -> None:
        pass

    assert "blobTrigger" in check(app.get_functions(), HOST_JSON, ENVIRONMENT)[0]


@pytest.mark.parametrize("form", ["AzureWebJobsStorage__queueServiceUri", "AzureWebJobsStorage__accountName"])
def test_an_identity_serves_instead_of_a_connection_string(form: str) -> None:
    assert check(functions_of(queue_app()), HOST_JSON, {form: "x"}) == []


def queues(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda host_json: host_json["extensions"]["queues"].update(values)


def top(**values: Any) -> Callable[[dict[str, Any]], None]:
    return lambda host_json: host_json.update(values)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (top(version="3.0"), "version '3.0'"),
        (top(fuctionTimeout="00:10:00"), "'fuctionTimeout', which the host ignores"),
        (top(functionTimeout="ten minutes"), "functionTimeout: 'ten minutes' is not a time span"),
        (queues(batchSize=33), "batchSize is 33: use a whole number from 1 to 32"),
        (queues(batchSize=True), "batchSize is True"),
        (queues(newBatchTreshold=4), "'newBatchTreshold', which the host ignores"),
        (queues(visibilityTimeout="10"), "visibilityTimeout: '10' is not a time span"),
        (queues(maxPollingInterval="00:00:00"), "maxPollingInterval is 00:00:00"),
        (queues(messageEncoding="gzip"), "must be 'base64' or 'none'"),
    ],
)
def test_a_faulty_host_json_is_refused(change: Callable[[dict[str, Any]], None], said: str) -> None:
    host_json: dict[str, Any] = {"version": "2.0", "extensions": {"queues": {"batchSize": 8}}}
    assert check([], host_json, {}) == []
    change(host_json)
    sentences = check([], host_json, {})
    assert len(sentences) == 1
    assert said in sentences[0]
