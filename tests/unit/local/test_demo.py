"""How ./dev demo ends: what became of its jobs, and commands that exist."""

from __future__ import annotations

import re
import shlex

import pytest

from geostage_client.cli import build_parsers
from local import cli
from local.demo import ending
from local.paths import PROJECT

API = "http://127.0.0.1:7071/api"


def commands(text: str) -> list[list[str]]:
    """Return the ./dev commands of a text as their words; two blanks end a command."""
    return [shlex.split(line) for line in re.findall(r"\./dev ((?:[^\s\")]| (?! ))+)", text)]


@pytest.mark.parametrize(
    ("completed", "first"), [([True] * 7, "7 of 7 jobs completed in 63 s"), ([True, False], "1 of 2 jobs completed")]
)
def test_the_jobs_that_completed_are_counted(completed: list[bool], first: str) -> None:
    lines = ending(completed, 63.4, "").splitlines()
    assert lines[1].startswith(first)
    assert lines[1].endswith("; everything is stopped")


def test_a_stack_that_goes_on_is_named_with_how_to_use_and_to_stop_it() -> None:
    text = ending([True], 1, API)
    assert f"the stack goes on running at {API}" in text
    assert "./dev down" in text
    assert "./dev up  " not in text


@pytest.mark.parametrize("kept_api", ["", API])
def test_every_command_of_the_ending_exists(kept_api: str) -> None:
    _, of_client = build_parsers()
    listed = commands(ending([True], 1, kept_api))
    assert len(listed) >= 3
    for name, *arguments in listed:
        if name == "geostage":
            assert of_client[arguments[0]].parse_intermixed_args(arguments[1:])
        else:
            assert cli.parser().parse_args([name, *arguments])


def test_files_of_the_ending_exist() -> None:
    assert (PROJECT / re.findall(r"\w+\.md", ending([True], 1, ""))[0]).is_file()
