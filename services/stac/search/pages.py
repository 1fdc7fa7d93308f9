"""Pages: as many records as were asked for, as far as they fit into a job's result. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable

from schema.jobs import Json

MAX_PAGE_BYTES = 200_000
"""Below the size at which a job's result becomes a blob: the caller asked for a list."""


def fill(rows: Iterable[Json], column: str, limit: int) -> tuple[list[Json], bool]:
    """Return the rows of a page, and whether more follow. A page holds one row at least, however large.

    `column` is the part of a row that is shown: its bytes as JSON count.
    """
    taken: list[Json] = []
    weight = 0
    for row in rows:
        # Lone surrogates, which a JSON string may hold, cannot be encoded: they count as one byte each.
        weight += len(json.dumps(row[column], ensure_ascii=False).encode(errors="replace"))
        if len(taken) == limit or (taken and weight > MAX_PAGE_BYTES):
            return taken, True
        taken.append(row)
    return taken, False
