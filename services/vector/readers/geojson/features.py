"""The entries of a GeoJSON's `features`, found without parsing: GDAL passes over those that are no Feature."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from schema.errors import PermanentError
from services.vector.readers.source_layer import SourceBatch

_BLOCK = 2**20
_KEY = b'"geometry"'
_FEATURES = re.compile(rb'"features"\s*:\s*\Z')
_BEFORE = 256
"""Bytes before an array in which its name is looked for."""
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_QUOTE, _COMMA, _OPEN, _CLOSE = ord('"'), ord(","), ord("["), ord("]")
_MAX_ENTRY = 64 * 2**20


def checked(path: Path, batches: Iterator[SourceBatch], check: Callable[[], None]) -> Iterator[SourceBatch]:
    """Give the batches, and check at their end that each entry became a row. Raises PermanentError naming the entry.

    As a rule there is one "geometry" for each row, which is seen at 1 GB a second; only else are the entries counted.
    """
    rows = 0
    for batch in batches:
        rows += len(batch.fids)
        yield batch
    if _count_keys(path) == rows:
        return
    entries = sum(1 for _ in spans(path, check))
    if entries > rows:
        raise PermanentError(
            f"The file has {entries} features, but only {rows} can be read{_first_wrong(path, check)}.",
            remediation='Correct the file: each entry of "features" has "type": "Feature". Upload it anew.',
            code="source_unreadable",
        )


def spans(path: Path, check: Callable[[], None]) -> Iterator[tuple[int, int]]:
    """Give where each entry of `features` begins and ends in the file, by its brackets, quotes and commas alone."""
    inside, depth, start = 0, 0, -1
    at, tail = 0, b""
    for block in _blocks(path):
        check()
        # What is escaped is no quotation mark.
        data = np.frombuffer(_ESCAPE.sub(b"__", block), np.uint8)
        quoted = (np.cumsum(data == _QUOTE) + inside) % 2 == 1
        turns = np.where(quoted, 0, _TURNS[data])
        depths = depth + np.cumsum(turns)
        plain = ~quoted & np.isin(data, (_COMMA, _OPEN, _CLOSE))
        # An array of the outermost object, its end, and the commas between.
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


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            # An escape is not cut in two: an odd number of backslashes at the end takes one byte more.
            while (len(block) - len(block.rstrip(b"\\"))) % 2 and (more := file.read(1)):
                block += more
            yield block


def _count_keys(path: Path) -> int:
    found, tail = 0, b""
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found += (tail + block).count(_KEY)
            tail = block[1 - len(_KEY) :]
    return found


def _first_wrong(path: Path, check: Callable[[], None]) -> str:
    with path.open("rb") as file:
        for number, (start, end) in enumerate(spans(path, check), start=1):
            file.seek(start)
            if end - start < _MAX_ENTRY and not _is_feature(file.read(end - start)):
                return f"; the first that is no Feature is entry {number}"
    return ""


def _is_feature(text: bytes) -> bool:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and value.get("type") == "Feature"
