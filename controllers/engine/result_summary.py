"""Summaries of results: what stays in the row of a result that is stored as a blob, beside its path. Pure.

The summary has a bounded size: the small values at the top of the result (ids, counts, sums), and its warnings.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate, takewhile
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
        # By size and not by type: a box or an object of sums is wanted as much as a number.
        if name != "warnings" and (taken := _bytes_of({name: value})) <= min(MAX_VALUE_BYTES, room):
            kept[name] = value
            room -= taken
    warnings = result.get("warnings")
    if isinstance(warnings, list):
        ends = accumulate(_bytes_of(warning) for warning in warnings)
        fitting = sum(1 for _ in takewhile(lambda end: end <= MAX_WARNINGS_BYTES, ends))
        kept["warnings"] = warnings[:fitting]
        if fitting < len(warnings):
            message = "There are more warnings than fit here; the blob that result_path names has all of them."
            more = {"code": "more_warnings", "message": message, "count": len(warnings) - fitting}
            kept["warnings"].append(more)
    return {**kept, "result_path": path, "bytes": size}


def _bytes_of(value: object) -> int:
    return len(to_jsonb(value).encode())
