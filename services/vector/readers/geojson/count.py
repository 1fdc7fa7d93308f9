"""The number of features of a GeoJSON file by its bytes, without the parser that returns them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from services.vector.readers.geojson.layout import SEPARATOR, Layout
from services.vector.readers.geojson.scan import COMMA, Scanner
from services.vector.row_count import RowCount

_KEY = b'"geometry"'
_AROUND = SEPARATOR + b" \t\r\n"


def count_rows(
    path: Path, layout: Layout, check: Callable[[], None], rows: int, block_bytes: int = 2**20
) -> tuple[RowCount, ...]:
    """Count the elements of `features`, or the texts of a sequence; a file that is a single object has no count."""
    if layout.kind == "single":
        return ()
    if layout.kind != "collection":
        return (
            RowCount(
                _count_texts(path, layout, block_bytes), "its lines" if layout.kind == "lines" else "its separators"
            ),
        )
    # As a rule there is one "geometry" for each row, which is counted at 2 GB a second, and the brackets at 0.15.
    found = rows if _count_keys(path, block_bytes) == rows else _count_elements(path, layout.begin, check, block_bytes)
    return (RowCount(found, "the bytes of the file"),)


def _count_keys(path: Path, block_bytes: int) -> int:
    keys, tail = 0, b""
    with path.open("rb") as file:
        while block := file.read(block_bytes):
            keys += (tail + block).count(_KEY)
            tail = block[1 - len(_KEY) :]
    return keys


def _count_elements(path: Path, begin: int, check: Callable[[], None], block_bytes: int) -> int:
    scanner, commas, is_blank = Scanner(), 0, True
    with path.open("rb") as file:
        file.seek(begin)
        while block := file.read(block_bytes):
            check()
            places, marks, depths = scanner.feed(block)
            closing = np.flatnonzero(depths < 0)
            end = int(closing[0]) if len(closing) else len(places)
            commas += int(((marks[:end] == COMMA) & (depths[:end] == 0)).sum())
            close = int(places[end]) - (file.tell() - begin - len(block)) if len(closing) else len(block)
            is_blank &= not block[: max(close, 0)].strip()
            if len(closing):
                break
    return 0 if is_blank else commas + 1


def _count_texts(path: Path, layout: Layout, block_bytes: int) -> int:
    with path.open("rb") as file:
        file.seek(layout.begin)
        if layout.kind == "lines":
            return sum(bool(line.strip(_AROUND)) for line in file)
        texts, inside = 0, False
        while block := file.read(block_bytes):
            first, *others = block.split(SEPARATOR)
            # A text begins with the first of its bytes that is not blank, in whichever block.
            for number, piece in enumerate((first, *others)):
                inside &= number == 0
                texts += not inside and bool(piece.strip())
                inside |= bool(piece.strip())
        return texts
