"""Clipping: names from files and requests are cut where our sentences quote them, so that an answer stays short."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

NAME_LENGTH = 100
"""Characters of a name that a sentence shows."""
SENTENCE_LENGTH = 4_000
"""Characters of an error's message, whatever was put into it."""
SHOWN_NAMES = 50


def clip(text: str, length: int = NAME_LENGTH) -> str:
    """Cut a text to a number of characters; three dots stand for what is missing."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return a question, with a blank before it, about the name that is most like a wrong one; "" where none is."""
    known = {_letters(other): other for other in names}
    close = get_close_matches(_letters(clip(name)), known, n=1, cutoff=0.7)
    return f" Did you mean {known[close[0]]!r}?" if close else ""


def _letters(name: str) -> str:
    # So that processVector and process-vector are found.
    return "".join(char for char in name.lower() if char.isalnum())


def listed(names: Iterable[str], most: int = SHOWN_NAMES) -> str:
    """List names for a sentence: each cut, the first of them with a word about how many more there are."""
    rest = iter(names)
    shown = ", ".join(clip(name) for name in islice(rest, most))
    more = sum(1 for _ in rest)
    return f"{shown} and {more} more" if more else shown
