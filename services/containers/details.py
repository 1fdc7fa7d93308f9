"""Details: how thoroughly a file is looked at for its record. Pure."""

from __future__ import annotations

from typing import Literal

from services.containers.kinds import Kind

Detail = Literal["quick", "header", "smart", "full"]
"""quick: what storage says. header: what the file's header says. full: all of its data. smart: one of the last two."""
_ORDER = ("quick", "header", "full")
SMART_BYTES = 64 * 10**6
"""A raster that is larger is not read as a whole for a smart record."""


def effective(detail: Detail, kind: Kind, size: int) -> Detail:
    """Choose what smart means for a file; the other details mean themselves."""
    if detail != "smart":
        return detail
    return "header" if kind == "raster" and size > SMART_BYTES else "full"


def rank(detail: str) -> int:
    """Order details by how much they tell; what is not known tells nothing."""
    return _ORDER.index(detail) if detail in _ORDER else -1
