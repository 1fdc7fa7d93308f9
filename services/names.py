"""Names that resemble one that does not exist, for "Did you mean ...?". Pure."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches

SHOWN = 5


def near_names(name: str, known: Sequence[str]) -> str:
    """Return the known names that resemble a name, separated by commas; empty if none does. Case does not count."""
    by_lower = {other.lower(): other for other in known}
    near = get_close_matches(name.lower(), list(by_lower), n=SHOWN, cutoff=0.6)
    return ", ".join(by_lower[other] for other in near)
