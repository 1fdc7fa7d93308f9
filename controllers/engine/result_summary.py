"""Summaries of results: what stays in the row of a result that is stored as a blob, beside its path. Pure.

The summary has a bounded size: the small values at the top of the result (ids, counts, sums), and its warnings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from schema.jobs import Json
from schema.jsonb import to_jsonb

MAX_VALUE_BYTES = 5_000
"""Of one value with its name: enough for the longest path, whose 1024 characters may be of four bytes each."""
MAX_VALUES_BYTES = 32_000
MAX_WARNINGS_BYTES = 32_000


def summary_of(result: Mapping[str, Any], path: str, size: int) -> Json:
    """Return what the row holds of a result of `size` bytes that was written to the blob `path`."""
    kept: Json = {}
    room = MAX_VALUES_BYTES
    for name, value in result.items():
        if name == "warnings" and isinstance(value, list):
            kept[name] = _first(value)
        elif name != "warnings" and (taken := _bytes_of({name: value})) <= min(MAX_VALUE_BYTES, room):
            # By size and not by type: a box or an object of sums is wanted as much as a number.
            kept[name] = value
            room -= taken
    return {**kept, "result_path": path, "bytes": size}


def _first(warnings: Sequence[Any]) -> list[Any]:
    """Return the warnings; of too many the first ones, and a last one with the number of the others."""
    kept: list[Any] = []
    room = MAX_WARNINGS_BYTES
    for warning in warnings:
        room -= _bytes_of(warning)
        if room < 0:
            message = "There are more warnings than fit here; the blob that result_path names has all of them."
            return [*kept, {"code": "more_warnings", "message": message, "count": len(warnings) - len(kept)}]
        kept.append(warning)
    return kept


def _bytes_of(value: object) -> int:
    return len(to_jsonb(value).encode())
