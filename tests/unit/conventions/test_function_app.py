"""What the Functions host sees of function_app.py, and what importing it costs."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys

import pytest

import function_app
from controllers import CONTROLLERS
from controllers.base import SingleTask
from controllers.http.openapi import document
from local.host import hostjson, rules
from local.host.functions import HostedFunction
from schema.messages import QUEUES, RESERVED_KEYS, JobMessage, TaskMessage
from services import HANDLERS, resolve_handler
from tests.unit.conventions.source import PROJECT, modules

ROUTES = {
    "submit_job": ("POST", "jobs/{job_type}"),
    "list_jobs": ("GET", "jobs"),
    "get_job": ("GET", "jobs/{job_id}"),
    "list_tasks": ("GET", "jobs/{job_id}/tasks"),
    "cancel_job": ("POST", "jobs/{job_id}/cancel"),
    "retry_job": ("POST", "jobs/{job_id}/retry"),
    "explain_job": ("GET", "jobs/{job_id}/explain"),
    "list_job_types": ("GET", "job-types"),
    "get_job_type": ("GET", "job-types/{job_type}"),
    "health": ("GET", "health"),
    "openapi": ("GET", "openapi.json"),
    "poison": ("GET POST", "monitor/poison"),
}
QUEUE_FUNCTIONS = {
    "on_job": "geo-jobs",
    "on_vector_task": "geo-vector-tasks",
    "on_raster_task": "geo-raster-tasks",
    "on_light_task": "geo-light-tasks",
}
LIGHT_TASKS = ("hello", "container_prefixes", "container_list", "sync_list", "sync_summarise")
LIGHT_QUESTIONS = [
    job_type
    for job_type, controller in CONTROLLERS.items()
    if isinstance(controller, SingleTask) and controller.stages[0].queue == "light"
]
HEAVY = ("rasterio", "pyogrio", "geopandas", "shapely", "pyarrow", "pyproj", "pandas")
LOAD = """
import json, os, socket, sys
def refuse(*args, **kwargs):
    raise AssertionError("an import opens a socket")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import function_app
after_app = sorted(sys.modules)
from services import resolve_handler
for task_type in sys.argv[1:]:
    resolve_handler(task_type)
print(json.dumps([after_app, sorted(sys.modules)]))
"""

# get_functions may be called once per process.
LOADED = function_app.app.get_functions()
FUNCTIONS = {HostedFunction.of(f).name: HostedFunction.of(f) for f in LOADED}


def test_functions_are_named_as_documented() -> None:
    queued = {name + suffix for name in QUEUE_FUNCTIONS for suffix in ("", "_poison")}
    assert set(FUNCTIONS) == {*ROUTES, *queued, "sweep"}


def test_routes_and_methods_are_as_documented() -> None:
    triggers = {name: f.trigger for name, f in FUNCTIONS.items() if f.is_a("httpTrigger")}
    assert {n: (" ".join(sorted(map(str, t["methods"]))), t["route"]) for n, t in triggers.items()} == ROUTES


def test_every_route_asks_for_a_key_but_health() -> None:
    levels = {name: str(f.trigger["authLevel"]) for name, f in FUNCTIONS.items() if f.is_a("httpTrigger")}
    assert {name for name, level in levels.items() if level != "FUNCTION"} == {"health"}
    assert levels["health"] == "ANONYMOUS"


def test_every_queue_has_its_trigger_and_its_poison_trigger() -> None:
    listening = {name: f.trigger["queueName"] for name, f in FUNCTIONS.items() if f.is_a("queueTrigger")}
    poison = {f"{name}_poison": f"{queue}-poison" for name, queue in QUEUE_FUNCTIONS.items()}
    assert listening == {**QUEUE_FUNCTIONS, **poison}
    assert set(QUEUE_FUNCTIONS.values()) == set(QUEUES)


def test_the_functions_host_would_load_the_app() -> None:
    assert rules.check(LOADED, hostjson.read(PROJECT), {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}) == []


@pytest.fixture(scope="module")
def loaded() -> list[list[str]]:
    """The modules of a process that has imported the app, and after it the handlers of all light tasks."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("GEOSTAGE_", "AzureWebJobs"))}
    command = [sys.executable, "-c", LOAD, *LIGHT_QUESTIONS, *LIGHT_TASKS]
    done = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    modules_of_both: list[list[str]] = json.loads(done.stdout)
    return modules_of_both


def test_importing_the_app_loads_no_gdal_reads_no_setting_and_opens_no_connection(loaded: list[list[str]]) -> None:
    after_app, _ = loaded
    assert "function_app" in after_app
    assert not set(after_app) & set(HEAVY)


def test_questions_and_light_tasks_are_done_without_gdal(loaded: list[list[str]]) -> None:
    _, after_handlers = loaded
    assert len(LIGHT_QUESTIONS) == 10
    assert {HANDLERS[task_type].partition(":")[0] for task_type in LIGHT_TASKS} <= set(after_handlers)
    assert not set(after_handlers) & set(HEAVY)


def test_every_registered_handler_resolves() -> None:
    for task_type in HANDLERS:
        assert callable(resolve_handler(task_type)), task_type


def test_every_task_type_that_a_controller_creates_is_registered() -> None:
    created = {
        node.args[0].value
        for module in modules("controllers")
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "TaskSpec"
        if node.args and isinstance(node.args[0], ast.Constant)
    }
    assert created
    assert created <= set(HANDLERS)


def test_every_handler_is_asked_for_by_a_controller() -> None:
    text = "".join(module.path.read_text() for module in modules("controllers"))
    assert not [task_type for task_type in HANDLERS if f'"{task_type}"' not in text]


def test_messages_have_no_key_that_the_host_would_overwrite() -> None:
    messages = (JobMessage("0" * 32, 1), TaskMessage("0" * 32 + "-1-0001"))
    for message in messages:
        assert not {key.lower() for key in json.loads(message.encode())} & {key.lower() for key in RESERVED_KEYS}


def test_the_document_describes_every_route_and_no_other() -> None:
    described = {
        (method.upper(), path.lstrip("/"))
        for path, item in document(CONTROLLERS)["paths"].items()
        for method in item
        if method != "parameters"
    }
    served = {
        (method, route.replace("{job_type}", job_type) if method == "POST" else route)
        for methods, route in ROUTES.values()
        for method in methods.split()
        for job_type in (CONTROLLERS if "{job_type}" in route else [""])
    }
    assert described == served


def test_the_sweep_runs_every_thirty_seconds() -> None:
    assert FUNCTIONS["sweep"].trigger["schedule"] == "*/30 * * * * *"
    assert re.fullmatch(r"[0-9:]{8}", hostjson.read(PROJECT)["extensions"]["queues"]["visibilityTimeout"])


def test_every_trigger_is_a_line_of_docstring_and_at_most_five_statements() -> None:
    tree = ast.parse((PROJECT / "function_app.py").read_text(encoding="utf-8"))
    triggers = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert {node.name for node in triggers} == set(FUNCTIONS)
    for node in triggers:
        assert len((ast.get_docstring(node) or "\n").splitlines()) == 1, node.name
        assert sum(isinstance(part, ast.stmt) for part in ast.walk(node)) - 2 <= 5, node.name
