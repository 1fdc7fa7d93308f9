"""Limits of folders, imports, functions and docstrings, which the whole product keeps."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

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
from tests.unit.conventions.source import Module, imports, modules

TOOLS = ("client", "local", "tests")
"""What stands beside the layers: the command line, the stack of a laptop, and the tests."""
WITH_CONTEXT = ("services/handlers/", "services/__init__.py", "services/context.py")
"""Only handlers know a task; libraries are passed a source, blobs, a folder and a check."""
PATHS = {"LOCAL", "MIGRATIONS", "PROJECT"}
"""Constants that are no limits: a test has them lead to a folder of its own."""


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


def test_tests_pass_their_limits_and_patch_none() -> None:
    assert [found for module in modules("tests") for found in patched_constants(module)] == []


def patched_constants(module: Module) -> Iterator[str]:
    """Name the constants that a test module sets."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "setattr":
            for arg in node.args[:2]:
                if isinstance(arg, ast.Constant) and is_constant(name := str(arg.value).rpartition(".")[2]):
                    yield f"{module.name}:{node.lineno} {name}"


def is_constant(name: str) -> bool:
    return re.fullmatch(r"_?[A-Z][A-Z0-9_]+", name) is not None and name not in PATHS
