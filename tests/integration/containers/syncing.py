"""What a sync counted, a point as a file, and what happens between two steps of a sync."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schema.jobs import Json
from services.context import TaskContext
from tests.integration.containers.world import POINT


def figures(result: Json, *names: str) -> list[int]:
    return [result["summary"][name] for name in names]


def failures(result: Json) -> dict[str, str]:
    return {entry["name"]: entry["code"] for entry in result["failed_files"]}


def point(west: float) -> bytes:
    return POINT.replace(b"7, 51", f"{west}, 51".encode())


def happens_before(monkeypatch: pytest.MonkeyPatch, module: Any, handler: str, act: Callable[[], None]) -> None:
    """Have something happen when a handler begins."""
    handle = getattr(module, handler)

    def act_and_handle(ctx: TaskContext) -> Json:
        act()
        result: Json = handle(ctx)
        return result

    monkeypatch.setattr(module, handler, act_and_handle)
