"""The dialect of a CSV file: encoding, delimiter, names of the columns."""

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
# Stands for the delimiter of a file with one column: a byte that no text has.
NO_DELIMITER = "\x1f"
_DELIMITERS = (",", ";", "\t", "|", ":")


@dataclass(frozen=True)
class Dialect:
    """How a file is written."""

    encoding: Encoding
    delimiter: str
    names: tuple[str, ...]
    """The columns, as the header names them."""
    skip: int
    """Lines before the header."""


def read_dialect(path: Path, read_options: ReadOptions) -> Dialect:
    """Find encoding, delimiter and header. Reads the whole file for its encoding.

    Raises
    ------
    PermanentError
        The file has bytes that its encoding does not allow, or no header.
    """
    if read_options.encoding:
        encoding = encodings.from_parameter(read_options.encoding)
        encodings.check(path, encoding.name)
    else:
        encoding = encodings.detect(path)
    with path.open(encoding="utf-8-sig" if encoding.name == "utf-8" else encoding.name, newline="") as file:
        head = file.read(_HEAD_BYTES)
    skip, stated = 0, None
    first, _, rest = head.partition("\n")
    if first.lower().startswith("sep=") and len(first.rstrip("\r")) == 5:
        # Excel writes this line, and obeys it.
        skip, stated, head = 1, first[4], rest
    # Python's limit is 128 kB a value; one long WKT may fill all of the head.
    csv.field_size_limit(_HEAD_BYTES)
    delimiter = stated or _choose_delimiter(head)
    names = next((row for row in csv.reader(head.splitlines(keepends=True), delimiter=delimiter) if row), None)
    if not names:
        raise PermanentError(
            "The file has no header: its first row must name the columns.",
            remediation="Add a first row with the names of the columns.",
            code="no_header",
        )
    return Dialect(encoding, delimiter, tuple(names), skip)


def _choose_delimiter(head: str) -> str:
    """Return the delimiter by which most rows have as many values as the header has names."""
    lines = head.splitlines(keepends=True)[:SAMPLE_ROWS]
    best, most = NO_DELIMITER, 0.0
    for delimiter in _DELIMITERS:
        counts = [len(row) for row in csv.reader(lines, delimiter=delimiter) if row]
        if not counts or counts[0] < 2:
            continue
        agreeing = sum(count == counts[0] for count in counts) / len(counts)
        # The share of agreeing rows decides, the number of columns only between equals: a comma within texts may
        # make three columns of a few rows where a semicolon makes two of each.
        score = agreeing * 100 + min(counts[0], 50) / 100
        if score > most:
            best, most = delimiter, score
    return best
