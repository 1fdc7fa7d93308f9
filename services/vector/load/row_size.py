"""The size of a row in PostgreSQL: which rows may not fit into a page, where each row has to fit.

A page takes rows of up to 8,160 bytes, after long values were moved out of line (TOAST). What moves, and how far it is
compressed, is PostgreSQL's choice; so rows that cannot be too big are told from those that must be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.vector.geometry.wkb import Flags, Integers

MAX_ROW_BYTES = 8_160
Accepts: TypeAlias = Callable[[pa.RecordBatch], bool]
"""Whether PostgreSQL takes rows: tries to load them, without effect."""

_HEAD_BYTES = 24
_OUT_OF_LINE_BYTES = 24
"""A value up to this size stays in the row; of a longer one at most this much stays: a pointer, and alignment."""
_ALIGNMENT = 7


def may_be_too_big(rows: pa.RecordBatch) -> Flags:
    """Return which rows could be larger than a page even when all that can move has moved out of line."""
    columns = len(rows.schema)
    sizes: Integers = np.full(rows.num_rows, _HEAD_BYTES + (columns + 7) // 8 + _ALIGNMENT, np.int64)
    # Tables of up to about 250 columns cannot fill a page, whatever is in them.
    if columns * (_OUT_OF_LINE_BYTES + _ALIGNMENT + 1) + int(sizes[:1].sum()) > MAX_ROW_BYTES:
        for column in rows.columns:
            sizes += _largest_in_row(column)
    return np.asarray(sizes > MAX_ROW_BYTES)


def find_too_big(rows: pa.RecordBatch, accepts: Accepts) -> Flags:
    """Find the rows that PostgreSQL refuses, by halves: one refused row in a thousand costs about twenty tries."""
    refused = np.zeros(rows.num_rows, np.bool_)
    suspects = np.flatnonzero(may_be_too_big(rows))
    if len(suspects):
        refused[_refused(rows, suspects, accepts)] = True
    return refused


def _refused(rows: pa.RecordBatch, suspects: Integers, accepts: Accepts) -> Sequence[int]:
    if accepts(rows.take(pa.array(suspects))):
        return []
    if len(suspects) == 1:
        return [int(suspects[0])]
    half = len(suspects) // 2
    return [*_refused(rows, suspects[:half], accepts), *_refused(rows, suspects[half:], accepts)]


def _largest_in_row(column: pa.Array) -> Integers:
    present = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        lengths = pc.fill_null(pc.binary_length(column), 0).to_numpy().astype(np.int64)
        sizes: Integers = present * (np.minimum(lengths + 4, _OUT_OF_LINE_BYTES) + _ALIGNMENT)
        return sizes
    width = 1 if pa.types.is_boolean(column.type) else column.type.bit_width // 8
    # Between columns of other widths up to a width less one is lost to alignment.
    return np.asarray(present * (2 * width - 1), np.int64)
