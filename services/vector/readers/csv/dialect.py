"""The dialect of a file of delimited text: encoding, delimiter, names of the columns."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from schema.errors import PermanentError
from services.vector.read_options import ReadOptions
from services.vector.readers import encodings
from services.vector.readers.encodings import Encoding

_HEAD_BYTES = 256 * 1024
SAMPLE_ROWS = 200
NO_DELIMITER = "\x1f"
_DELIMITERS = (",", ";", "\t", "|", ":")


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    encoding: Encoding
    delimiter: str
    names: tuple[str, ...]
    """The columns, as the first row names them."""
    skip: int
    """Lines before the row of names."""


def read_dialect(path: Path, read_options: ReadOptions) -> Dialect:
    """Find encoding, delimiter and names of the columns. Reads the whole file for its encoding."""
    if read_options.encoding:
        encoding = Encoding(encodings.known_name(read_options.encoding) or read_options.encoding, "parameter")
        encodings.check(path, encoding.name)
    else:
        encoding = encodings.detect(path)
    with path.open(encoding="utf-8-sig" if encoding.name == "utf-8" else encoding.name, newline="") as file:
        head = file.read(_HEAD_BYTES)
    skip, told = 0, None
    first, _, rest = head.partition("\n")
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == 5:
        # What Excel writes and obeys.
        skip, told, head = 1, first[4], rest
    # A shape in the first rows may be all that was read.
    csv.field_size_limit(_HEAD_BYTES)
    delimiter = told or _choose_delimiter(head)
    names = next((row for row in csv.reader(head.splitlines(keepends=True), delimiter=delimiter) if row), None)
    if not names:
        raise PermanentError(
            "The file has no row of column names.", remediation="Write the names into its first row.", code="no_header"
        )
    return Dialect(encoding, delimiter, tuple(names), skip)


def _choose_delimiter(head: str) -> str:
    """Choose the delimiter by which most rows have as many values as the header has names."""
    lines = head.splitlines(keepends=True)[:SAMPLE_ROWS]
    best, most = NO_DELIMITER, 0.0
    for delimiter in _DELIMITERS:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if not counts or counts[0] < 2:
            continue
        agreeing = sum(count == counts[0] for count in counts) / len(counts)
        # Two columns in every row speak louder than three in a few.
        score = agreeing * 100 + min(counts[0], 50) / 100
        if score > most:
            best, most = delimiter, score
    return best
