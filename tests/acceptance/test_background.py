"""A stack in the background, as ./dev demo --keep leaves one."""

from __future__ import annotations

import argparse
import subprocess
import sys

import httpx
import pytest

from local import background, cli
from local.errors import StackError
from local.paths import LOCAL, PROJECT
from local.stack import Stack
from local.state import StackState

NAME = "kept"
JOIN = f"from local import background; print(background.join({NAME!r}).api)"


def join_elsewhere() -> str:
    """Join the stack from a process that ends then, and return what it says: the address of the API."""
    done = subprocess.run([sys.executable, "-c", JOIN], cwd=PROJECT, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_it_outlives_who_started_it_is_joined_by_others_and_ends_with_down(stack: Stack) -> None:
    del stack
    try:
        api = join_elsewhere()
        assert httpx.get(f"{api}/health", timeout=30).status_code == 200
        owner = StackState.read(LOCAL / NAME / "state.json").owner
        assert (join_elsewhere(), StackState.read(LOCAL / NAME / "state.json").owner) == (api, owner)
    finally:
        cli.down(argparse.Namespace(name=NAME))
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{api}/health", timeout=30)


def test_why_it_did_not_start_is_said(stack: Stack) -> None:
    del stack
    with Stack(NAME), pytest.raises(StackError, match=r"did not start(.|\n)*The stack 'kept' is already running"):
        background.join(NAME)
