"""The measures of the source count what they say."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.unit.conventions.graph import circles, folder_graph
from tests.unit.conventions.measures import (
    comments_per_100,
    functions,
    privates_used_once,
    report,
    unclear_docstrings,
)
from tests.unit.conventions.source import Module, modules

SAMPLE = '''
def shown() -> int:
    """Give one."""
    # A reason.
    return _used_once() + _used_twice() + _used_twice()


def _used_once() -> int:
    return 1  # noqa: S101


def _used_twice() -> int:
    return 2
'''


def sample(folder: Path, name: str, text: str) -> Module:
    path = folder / f"{name}.py"
    path.write_text(text)
    return Module(path, ast.parse(text))


def test_a_circle_of_three_folders_is_found_and_a_chain_is_none() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}, "e": {"a"}}) == [["b", "c", "d"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_a_module_beside_folders_is_a_node_of_its_own() -> None:
    nodes = folder_graph(modules())
    assert {"services/context.py", "services/handlers", "services/raster/names.py"} <= set(nodes)
    assert "services/raster/names.py" in nodes["services/stac/ids.py"]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tests.unit.conventions.source.PROJECT", tmp_path)
    return tmp_path


def test_the_measures_count_what_they_say(project: Path) -> None:
    known = [sample(project, "sample", SAMPLE)]
    assert [(f.name, f.lines, f.is_private) for f in functions(known)] == [
        ("shown", 4, False), ("_used_once", 2, True), ("_used_twice", 2, True),
    ]  # fmt: skip
    assert privates_used_once(known) == 0.5
    assert comments_per_100(known) == pytest.approx(100 / 7)
    assert list(unclear_docstrings(known)) == ["sample.py:2 shown: Give"]


def test_the_report_names_every_measure() -> None:
    assert len(list(report())) == 8
