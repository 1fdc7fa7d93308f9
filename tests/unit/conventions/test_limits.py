"""Limits of folders, imports, functions and docstrings, which the whole product keeps."""

from __future__ import annotations

from tests.unit.conventions.graph import circles, folder_graph, package_graph
from tests.unit.conventions.measures import (
    MAX_FUNCTION_P90,
    MAX_MODULES,
    PERCENTILE,
    functions,
    modules_by_folder,
    percentile,
    unclear_docstrings,
)
from tests.unit.conventions.source import imports, modules

TOOLS = ("client", "local", "tests")
"""What stands beside the layers: the command line, the stack of a laptop, and the tests."""
WITH_CONTEXT = ("services/handlers/", "services/__init__.py", "services/context.py")
"""Only handlers know a task; libraries are passed a source, blobs, a folder and a check."""


def test_no_folder_has_more_modules_than_a_reader_can_take_in() -> None:
    counts = modules_by_folder([*modules(), *modules("client", "local")])
    assert {folder: n for folder, n in counts.items() if n > MAX_MODULES} == {}


def test_nine_functions_of_ten_fit_on_half_a_screen() -> None:
    assert percentile((function.lines for function in functions(modules())), PERCENTILE) <= MAX_FUNCTION_P90


def test_no_docstring_starts_with_a_word_that_hides_what_is_returned() -> None:
    assert list(unclear_docstrings([*modules(), *modules(*TOOLS)])) == []


def test_folders_do_not_import_each_other_in_a_circle() -> None:
    assert circles(folder_graph([*modules(), *modules("client", "local")])) == []


def test_the_packages_of_a_layer_do_not_import_each_other_in_a_circle() -> None:
    assert circles(package_graph(modules())) == []


def test_folders_of_tests_do_not_import_each_other_in_a_circle() -> None:
    assert circles(folder_graph(modules("tests"))) == []


def test_libraries_of_services_know_no_task() -> None:
    libraries = [module for module in modules("services") if not module.name.startswith(WITH_CONTEXT)]
    assert [m.name for m in libraries if imports(m, "services.context", "services.handlers")] == []
