"""JSON text that PostgreSQL can store: jsonb has no NaN, infinity, NUL or half of a surrogate pair."""

from __future__ import annotations

import json
import re

_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL in JSON text; the same letters after an escaped backslash are text."""

MAX_DEPTH = 500
"""Levels of arrays and objects that are accepted. What `json` reads depends on Python (990 in 3.11, 10,000 in 3.13),
what PostgreSQL reads on the size of its stack."""


def is_too_deep(value: object) -> bool:
    """Return whether a value has more than MAX_DEPTH levels of arrays and objects within each other."""
    level = [value]
    for _ in range(MAX_DEPTH):
        members = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        level = [member for several in members for member in several if isinstance(member, dict | list)]
        if not level:
            return False
    return True


def has_nul(text: str) -> bool:
    """Whether JSON text holds a NUL character."""
    return _NUL.search(text) is not None


def to_jsonb(value: object) -> str:
    """Return the JSON text of a value.

    Raises
    ------
    TypeError, ValueError
        It cannot be written as JSON, or holds what jsonb cannot store.
    """
    text = json.dumps(value, allow_nan=False, ensure_ascii=False)
    if has_nul(text):
        raise ValueError("it contains a NUL character, which jsonb cannot store")
    # UnicodeEncodeError, a ValueError, for half of a surrogate pair.
    text.encode()
    return text


def storable(text: str) -> str:
    """Replace the characters that jsonb cannot store; they come from users' files."""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()
