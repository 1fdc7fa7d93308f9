"""Where rows lie by columns of longitude and latitude beside their geometry: a hint at the CRS of the geometry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from services.vector.geometry import wkb
from services.vector.geometry.earth import Place
from services.vector.origin import Origin
from services.vector.read_options import ReadOptions
from services.vector.readers.csv.coordinate_names import find_pair, plain_name
from services.vector.readers.source_layer import SourceBatch
from services.vector.source.layers import open_origin


def find_place(folder: Path, origin: Origin, read_options: ReadOptions, check: Callable[[], None]) -> Place | None:
    """Return the place of a row of the layer's first batch; None when no columns say where its rows lie.

    The parameters are those of open_origin. Raises PermanentError.
    """
    with open_origin(folder, origin, read_options, check) as (layer, batches):
        columns = find_pair([plain_name(name) for name, _ in layer.fields], plane_first=False)
        first = next(batches, None)
        return None if columns is None or first is None else place_in(first, *columns)


def place_in(batch: SourceBatch, latitude: int, longitude: int) -> Place | None:
    """Return the place of the first row whose columns have numbers that can be degrees, and that has a geometry."""
    rows, points = wkb.first_points(batch.geometry, wkb.read_headers(batch.geometry))
    numbers = [_numbers(batch.attributes.column(column)) for column in (longitude, latitude)]
    degrees = np.stack(numbers, axis=1)[rows]
    # Columns of such names may hold metres too; and zeros stand for nothing in many files.
    usable = np.flatnonzero((np.abs(degrees) <= (180.0, 90.0)).all(axis=1) & (degrees != 0).all(axis=1))
    if not len(usable):
        return None
    (x, y), (east, north) = points[usable[0]].tolist(), degrees[usable[0]].tolist()
    return (x, y), (east, north)


def _numbers(column: pa.Array) -> wkb.Coordinates:
    try:
        numbers: wkb.Coordinates = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowException:
        return np.full(len(column), np.nan)
    return numbers
