"""The first pass over a source: what is in it, and where its chunks begin and end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from services.vector.chunks import Chunk, FilePart
from services.vector.geometry import repair, wkb
from services.vector.geometry.wkb import Coordinates
from services.vector.load.chunker import Chunker
from services.vector.readers.source_layer import SourceBatch
from services.vector.row_count import RowCount

WriteChunk = Callable[[int, list[SourceBatch]], str]
"""Stores the batches of the chunk with this number, and returns the name of the blob."""

_SAMPLE_ROWS = 50
"""Polygons of a batch that are tested for validity and repaired, about 1 ms each; until one repair splits a polygon."""

_SAMPLE_POINTS = 200
"""First points of a batch that are kept, to see whether the layer's CRS can be right."""


@dataclass
class Survey:
    """What one pass over all rows found."""

    rows: int = 0
    geometry_types: Counter[str] = field(default_factory=Counter)
    """Rows by geometry type; "" for null."""
    dimensions: Counter[int] = field(default_factory=Counter)
    """Rows by the dimension of their geometry; without collections that mix dimensions."""
    mixed: int = 0
    """Rows with a collection of several dimensions."""
    mixed_dimensions: Counter[int] = field(default_factory=Counter)
    """The same rows by these dimensions: each counts for all that it holds."""
    z_m: int = 0
    curves: int = 0
    splits: bool = False
    """A polygon of the sample becomes a multipolygon when it is repaired."""
    numbered: bool = True
    """The reader's number of each row is its place in the source, from 1."""
    chunks: list[Chunk] = field(default_factory=list)
    sample: list[Coordinates] = field(default_factory=list)
    """First points of some rows of each batch, in the layer's CRS: arrays of shape (n, 2)."""
    counts: tuple[RowCount, ...] = ()
    """How many rows the file itself says there are."""


def survey(
    batches: Iterable[SourceBatch], chunk_size: int, check: Callable[[], None], write: WriteChunk | None
) -> Survey:
    """Read all batches once, and return what is in them and where chunks begin and end.

    With `write` the chunks are stored as they fill up. Memory: one chunk at most.
    """
    found = Survey()
    chunker = Chunker(chunk_size)
    open_chunk: Chunk | None = None
    held: list[SourceBatch] = []
    for batch in batches:
        check()
        sizes = _look_at(found, batch)
        places = np.arange(found.rows + 1, found.rows + len(sizes) + 1)
        found.numbered = found.numbered and np.array_equal(batch.fids, places)
        for piece in chunker.cut(sizes):
            fids = batch.fids[piece.start : piece.start + piece.rows]
            open_chunk = _grow(open_chunk, found.rows + piece.start + 1, fids, batch.part)
            if write:
                held.append(_slice(batch, piece.start, piece.rows))
            if piece.closes:
                _close(found, open_chunk, held, write)
                open_chunk, held = None, []
        found.rows += len(sizes)
    if open_chunk:
        _close(found, open_chunk, held, write)
    return found


def _look_at(found: Survey, batch: SourceBatch) -> npt.NDArray[np.int64]:
    values, headers = batch.geometry, wkb.read_headers(batch.geometry)
    # Readers turn curves into lines, but keep their types.
    found.curves += int((headers.type_codes != batch.type_codes).sum())
    codes, numbers = np.unique(headers.type_codes, return_counts=True)
    for code, number in zip(codes.tolist(), numbers.tolist(), strict=True):
        found.geometry_types[wkb.name_of(code)] += number
        if code <= wkb.COLLECTION and (dimension := int(repair.DIMENSION_OF_TYPE[code])) >= 0:
            found.dimensions[dimension] += number
    _, points = wkb.first_points(values, headers)
    found.sample.append(points[:: max(1, len(points) // _SAMPLE_POINTS)])
    found.z_m += int((headers.coordinate_dimensions > 2).sum())
    _look_into_collections(found, values, headers.type_codes)
    if not found.splits:
        found.splits = _sample_splits(values, np.flatnonzero(headers.type_codes == wkb.POLYGON))
    return headers.sizes


def _look_into_collections(found: Survey, values: pa.Array, type_codes: npt.NDArray[np.uint8]) -> None:
    rows = np.flatnonzero(type_codes == wkb.COLLECTION)
    if not len(rows):
        return
    shapes = shapely.from_wkb(values.take(pa.array(rows)).to_numpy(zero_copy_only=False), on_invalid="ignore")
    # Shapely reads a curve in a collection but cannot take the collection apart; force_2d returns None for it.
    for shape in shapely.force_2d(shapes):
        # A collection is of the dimensions of its parts, which the header does not tell.
        if shape is not None and not shape.is_empty:
            held = repair.dimensions_of(shape)
            found.mixed += len(held) > 1
            (found.mixed_dimensions if len(held) > 1 else found.dimensions).update(held)


def _sample_splits(values: pa.Array, rows: npt.NDArray[np.int64]) -> bool:
    chosen = rows[:: max(1, len(rows) // _SAMPLE_ROWS)]
    if not len(chosen):
        return False
    shapes = shapely.from_wkb(values.take(pa.array(chosen)).to_numpy(zero_copy_only=False), on_invalid="fix")
    shapes = shapes[~shapely.is_missing(shapes)]
    broken = shapes[~shapely.is_valid(shapes)]
    # Repairs of many vertices are slow, and tell no more than those of small polygons.
    small = broken[shapely.get_num_coordinates(broken) < 10_000]
    repaired = (repair.make_valid(shape) for shape in small)
    kept = (repair.parts_of_dimension(shape, repair.POLYGONS)[0] for shape in repaired if shape is not None)
    return any(shape is not None and shape.geom_type == "MultiPolygon" for shape in kept)


def _grow(chunk: Chunk | None, row: int, fids: npt.NDArray[np.int64], part: FilePart | None) -> Chunk:
    first, last = int(fids[0]), int(fids[-1])
    if chunk is None:
        return Chunk(row, len(fids), first, last, part=part)
    # The part of a chunk reaches from its first batch to its last; a batch without one has no known place.
    through = replace(chunk.part, end=part.end) if chunk.part and part else None
    return replace(chunk, rows=chunk.rows + len(fids), last_fid=last, part=through)


def _close(found: Survey, chunk: Chunk, held: list[SourceBatch], write: WriteChunk | None) -> None:
    blob = write(len(found.chunks) + 1, held) if write else None
    found.chunks.append(replace(chunk, blob=blob))


def _slice(batch: SourceBatch, start: int, rows: int) -> SourceBatch:
    return SourceBatch(
        batch.fids[start : start + rows],
        batch.attributes.slice(start, rows),
        batch.geometry.slice(start, rows),
        batch.type_codes[start : start + rows],
        None if batch.faults is None else batch.faults.slice(start, rows),
    )
