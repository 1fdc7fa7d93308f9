"""JSON text that PostgreSQL stores: jsonb knows no NaN, no infinity, no NUL and no half of a surrogate pair."""

from __future__ import annotations

import json
import re

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL in JSON text; the same letters behind an escaped backslash are no NUL."""


def has_nul(text: str) -> bool:
    """Tell whether JSON text holds a NUL character."""
    return _NUL.search(text) is not None


def to_jsonb(value: object) -> str:
    """Give the JSON text of a value.

    Raises
    ------
    TypeError, ValueError
        It is no JSON, or holds what jsonb cannot store.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    if has_nul(text):
        raise ValueError("it holds a NUL character, which jsonb cannot store")
    # UnicodeEncodeError, a ValueError, for half of a surrogate pair.
    text.encode()
    return text


def storable(text: str) -> str:
    """Replace the characters that jsonb cannot store; they come from users' files."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
