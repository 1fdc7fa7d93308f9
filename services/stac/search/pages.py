"""Pages: as many records as were asked for, and no more bytes than an answer should have. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from schema.jobs import Json

MAX_PAGE_BYTES = 200_000
"""Below the size at which a job's result becomes a blob."""


def fill(rows: Iterable[Json], column: str, limit: int) -> tuple[list[Json], bool]:
    """Take rows until a page is full; tells whether more follow. The first row always fits.

    `column` holds what is shown of a row and weighs in bytes of JSON.
    """
    taken: list[Json] = []
    weight = 0
    for row in rows:
        weight += _weight(row[column])
        if len(taken) == limit or (taken and weight > MAX_PAGE_BYTES):
            return taken, True
        taken.append(row)
    return taken, False


def _weight(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False).encode(errors="replace"))
