"""The number of a layer's rows by the file itself, with which what a reader returned is compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class RowCount:
    """The number of a layer's rows by the file itself, found without the reader that returns the rows."""

    rows: int
    by: str
    """What says so, as a sentence goes on after "by": "the header of the FlatGeobuf file"."""
    is_certain: bool = True
    """In a sound file it cannot be wrong, so a load with another number of rows fails. Otherwise it is a hint, such as
    a number that programs may leave out of date, and a difference is a warning."""
    first_lost: str = ""
    """The first row that was not returned, if that is known: "line 7 is not a Feature"."""
    remediation: str = "Check that the file opens in QGIS, write it to a new file there, and upload that."


CountRows: TypeAlias = Callable[[int], tuple[RowCount, ...]]
"""Takes the number of rows that were read, after all of them: where it agrees, what is slow to find can be left out."""


def no_counts(rows: int) -> tuple[RowCount, ...]:
    """Return nothing: the format states no number of rows, and none can be found in its bytes."""
    del rows
    return ()
