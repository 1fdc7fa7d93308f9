"""Each kind of error of a raster is raised with the fields of its sentence."""

from __future__ import annotations

import ast
from string import Formatter

import pytest

from services.raster import errors
from services.raster.errors import ErrorKind
from tests.unit.conventions.source import modules

KINDS = {name: kind for name, kind in vars(errors).items() if isinstance(kind, ErrorKind)}


def raised(name: str) -> list[ast.Call]:
    """The calls of a kind, as errors.name(...) or, imported by itself, as name(...)."""
    calls = [node for module in modules() for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    return [call for call in calls if getattr(call.func, "attr", getattr(call.func, "id", None)) == name]


@pytest.mark.parametrize("name", KINDS)
def test_every_error_is_raised_with_the_fields_of_its_sentence(name: str) -> None:
    fields = {field for _, field, _, _ in Formatter().parse(KINDS[name].sentence) if field is not None}
    assert {frozenset(keyword.arg for keyword in call.keywords) for call in raised(name)} == {frozenset(fields)}
    assert not any(call.args for call in raised(name))


def test_what_a_user_wrote_is_not_taken_for_a_field() -> None:
    error = errors.file_empty(label="{label}.tif")
    assert error.message == "{label}.tif is empty: it has no bytes."
