"""Layers and rows as they stand in a file: what every reader returns, before anything was decided about them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schema.jobs import Json
from services.vector.chunks import FilePart
from services.vector.geometry.crs import Bounds
from services.vector.geometry.wkb import Integers
from services.vector.row_count import CountRows, no_counts

FAULT_TYPE = pa.struct([("reason", pa.string()), ("raw", pa.string())])
"""Why a reader could not read a row, and the row as it stands in the file."""


@dataclass(frozen=True)
class SourceLayer:
    """A layer of a file."""

    name: str
    crs: str | None
    """Authority code or WKT."""
    fields: tuple[tuple[str, pa.DataType], ...]
    bounds: Bounds | None
    """In the layer's CRS; None when only a read of all rows would tell."""
    reading: Json = field(default_factory=dict)
    """What was chosen to read it: encoding, delimiter, columns of coordinates. Users see it."""
    reader_state: Json = field(default_factory=dict)
    """What the reader needs to read the rows of a chunk, beside the file itself."""
    decisive: tuple[str, ...] = ()
    """For each field the row and the value that made its type, where the reader chose the types by the values."""
    key: str | None = None
    """The column of the file whose values are the reader's numbers of the rows; it is not among the fields."""
    count_rows: CountRows = no_counts
    """Called while the layer is open, when all of its rows have been read; not for a chunk. Raises PermanentError for a
    file in which no rows can be counted."""


@dataclass(frozen=True)
class SourceBatch:
    """Rows of a layer. All arrays have one element per row."""

    fids: Integers
    """The reader's number of each row."""
    attributes: pa.RecordBatch
    geometry: pa.Array
    """WKB, without curves; null where there is no geometry."""
    type_codes: npt.NDArray[np.uint8]
    """Geometry type in the file, where it may have been a curve, by its WKB code; 0 for null."""
    faults: pa.Array | None = None
    """FAULT_TYPE; null for rows without fault. None when no row has one.

    A row that cannot be read travels on with its reason instead of being skipped: so it keeps its number, and the sum
    of loaded and rejected rows stays that of the file.
    """
    part: FilePart | None = None
    """As in Chunk."""
