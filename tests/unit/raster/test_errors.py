"""Each fault of a raster is raised with as many parts as its sentence has places for."""

from __future__ import annotations

import ast
from string import Formatter

import pytest

from services.raster import errors
from services.raster.errors import Fault
from tests.unit.conventions.source import modules

FAULTS = {name: fault for name, fault in vars(errors).items() if isinstance(fault, Fault)}


def raised(name: str) -> list[ast.Call]:
    """The calls of a fault, as errors.name(...) or, imported by itself, as name(...)."""
    calls = [node for module in modules() for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
    return [call for call in calls if getattr(call.func, "attr", getattr(call.func, "id", None)) == name]


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_is_raised_with_the_parts_of_its_sentence(name: str) -> None:
    places = [field for _, field, _, _ in Formatter().parse(FAULTS[name].sentence) if field is not None]
    assert {len(call.args) for call in raised(name)} == {len(places)}


def test_what_a_user_wrote_is_not_taken_for_a_place() -> None:
    error = errors.crs_unknown("EPSG:{label}")
    assert error.message == "'EPSG:{label}' is no coordinate reference system that PROJ knows."
