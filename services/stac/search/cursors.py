"""Cursors: places in a search, opaque to the caller, valid for that search only. Pure.

A cursor holds the sort key of the last record of a page, not a count of records, so that inserts and removals before
the next page neither repeat a record nor skip one. It also holds a digest of the search and of itself. No secret is
needed: a forged cursor returns nothing that the search does not, and its parts are parameters of a statement.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import re
from collections.abc import Sequence

from schema.jobs import Json

MAX_CURSOR_LENGTH = 16_384
MAX_ID_LENGTH = 2_800
"""More than the 2,704 bytes that fit into an entry of an index of PostgreSQL."""
_TIME = re.compile(
    r"[0-9]{4,6}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9](\.[0-9]{1,6})?\+00( BC)?|-?infinity"
)
"""How PostgreSQL writes a timestamp with its time zone set to UTC."""
_DIGEST_LENGTH = 16
Place = tuple[str | float, ...]


class CursorError(ValueError):
    """The text is not a cursor of this search. Its message follows the name of a parameter."""


def encode(search: Json, place: Sequence[str | float]) -> str:
    """Return the cursor of a place in a search."""
    # 1 and 1.0 are one number, and jsonb keeps what was sent.
    plain = json.loads(json.dumps([search, list(place)]), parse_int=float)
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]
    body = json.dumps([digest, *place], ensure_ascii=False)
    return base64.urlsafe_b64encode(body.encode()).decode().rstrip("=")


def decode(search: Json, cursor: str, kinds: Sequence[str]) -> Place:
    """Return the place of a cursor; `kinds` names each of its parts: id, time or distance. Raises CursorError."""
    if len(cursor) > MAX_CURSOR_LENGTH or not re.fullmatch(r"[A-Za-z0-9_-]+", cursor):
        raise CursorError("is not a cursor: pass the `cursor` of the page before, unchanged")
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (ValueError, RecursionError) as exc:
        raise CursorError("is not a cursor: pass the `cursor` of the page before, unchanged") from exc
    if not isinstance(parts, list) or len(parts) != len(kinds) + 1:
        raise CursorError("is a cursor of another job type")
    place = parts[1:]
    if not all(_is_part(part, kind) for part, kind in zip(place, kinds, strict=True)):
        raise CursorError("is a cursor of another job type")
    # Compared as a whole: the last letter of base64 has bits that say nothing.
    if encode(search, place) != cursor:
        raise CursorError("was changed, or belongs to a search with other parameters")
    return tuple(place)


def _is_part(part: object, kind: str) -> bool:
    if kind == "distance":
        return isinstance(part, float) and math.isfinite(part) and part >= 0
    if not isinstance(part, str) or "\0" in part:
        return False
    return len(part) <= MAX_ID_LENGTH and (kind == "id" or _TIME.fullmatch(part) is not None)
