"""The elements of a GeoJSON's `features`, found without parsing: GDAL passes over those that are not a Feature."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from services.vector.row_count import RowCount

_BLOCK = 2**20
_KEY = b'"geometry"'
_FEATURES = re.compile(rb'"features"\s*:\s*\Z')
_BEFORE = 256
"""Bytes before an array in which its name is looked for."""
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_QUOTE, _COMMA, _OPEN, _CLOSE = ord('"'), ord(","), ord("["), ord("]")
# A larger element is not parsed only to name it in a message.
_MAX_PARSED = 64 * 2**20


def count_rows(path: Path, rows: int, *, check: Callable[[], None]) -> tuple[RowCount, ...]:
    """Count the elements of `features`; a file that is a Feature or a geometry has no such count.

    As a rule there is one "geometry" for each row, which is counted at 2 GB a second. Only otherwise are the elements
    themselves counted, at 50 MB a second.
    """
    keys, tail = 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            keys += (tail + block).count(_KEY)
            tail = block[1 - len(_KEY) :]
    elements = rows if keys == rows else sum(1 for _ in find_features(path, check))
    if not elements:
        return ()
    return (
        RowCount(
            elements,
            "the bytes of the file",
            first_lost=_first_wrong(path, check) if elements > rows else "",
            remediation='Correct the file, so that each element of "features" has "type": "Feature", and upload it '
            "again.",
        ),
    )


def type_of(text: bytes) -> object:
    """Return the type of a GeoJSON object; None for what is not one."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value.get("type") if isinstance(value, dict) else None


def find_features(path: Path, check: Callable[[], None], block_bytes: int = _BLOCK) -> Iterator[tuple[int, int]]:
    """Yield the offsets at which each element of `features` begins and ends.

    They are found by brackets, quotation marks and commas alone, in arrays of one block: parsing would take Python
    objects for the whole file. Memory: a few arrays of the size of a block, 1 MB.
    """
    inside, depth, start = 0, 0, -1
    at, tail = 0, b""
    for block in _blocks(path, block_bytes):
        check()
        # An escaped quotation mark neither opens nor closes a text.
        data = np.frombuffer(_ESCAPE.sub(b"__", block), np.uint8)
        quoted = (np.cumsum(data == _QUOTE) + inside) % 2 == 1
        turns = np.where(quoted, 0, _TURNS[data])
        depths = depth + np.cumsum(turns)
        plain = ~quoted & np.isin(data, (_COMMA, _OPEN, _CLOSE))
        # The brackets of arrays in the outermost object, and the commas between their elements.
        marks = plain & np.where(data == _CLOSE, depths == 1, depths == 2)
        for place in np.flatnonzero(marks).tolist():
            if data[place] == _OPEN:
                before = tail + block[:place] if place < _BEFORE else block[place - _BEFORE : place]
                start = at + place + 1 if _FEATURES.search(before) else start
            elif start >= 0:
                yield start, at + place
                start = at + place + 1 if data[place] == _COMMA else -1
        inside, depth = int(quoted[-1]), int(depths[-1])
        at, tail = at + len(block), (tail + block)[-_BEFORE:]


_TURNS = np.zeros(256, np.int64)
_TURNS[[ord("{"), ord("[")]] = 1
_TURNS[[ord("}"), ord("]")]] = -1


def _blocks(path: Path, block_bytes: int) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(block_bytes):
            # A block must not end within an escape: after an odd number of backslashes it takes one byte more.
            while (len(block) - len(block.rstrip(b"\\"))) % 2 and (more := file.read(1)):
                block += more
            yield block


def _first_wrong(path: Path, check: Callable[[], None]) -> str:
    with path.open("rb") as file:
        for number, (start, end) in enumerate(find_features(path, check), start=1):
            file.seek(start)
            if end - start < _MAX_PARSED and type_of(file.read(end - start)) != "Feature":
                return f"element {number} is not a Feature"
    return ""
