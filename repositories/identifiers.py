"""Identifiers: names of tables and their parts, within PostgreSQL's 63 bytes."""

from __future__ import annotations

import hashlib

MAX_NAME_BYTES = 63
"""What PostgreSQL keeps of an identifier."""

_CUT_BYTES = 54

KEY, GEOMETRY_INDEX = "_pkey", "_geom_idx"


def key_name(table: str) -> str:
    """Name the primary key of a table, as PostgreSQL would."""
    return fit_name(table, KEY)


def geometry_index_name(table: str) -> str:
    """Name the spatial index of a table."""
    return fit_name(table, GEOMETRY_INDEX)


def fit_name(table: str, suffix: str) -> str:
    """Join a table's name and a suffix; over 63 bytes it is cut to 54 and ends in 8 digits of its hash."""
    name = table + suffix
    if len(name.encode()) <= MAX_NAME_BYTES:
        return name
    # Cut alone, two long names could become one; 54 bytes, "_" and 8 digits make 63.
    return f"{cut(name, _CUT_BYTES)}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def cut(name: str, size: int) -> str:
    """Cut a name to at most `size` bytes of UTF-8, never within a character."""
    return name.encode()[:size].decode(errors="ignore")
