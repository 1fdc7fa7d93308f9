"""Times that GDAL is asked for as text, because each row may have an offset of its own, or none.

A column of GDAL's Arrow stream has one time zone: of 09:00+02:00, 09:00-05:00 and 09:00 it makes 09:00 three times.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from services.vector.gdal import pyogrio
from services.vector.readers.source_layer import SourceBatch

Kind = Literal["timestamp", "timestamptz", "text"]
ARROW_TYPES: dict[Kind, pa.DataType] = {
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
    "text": pa.string(),
}
_OFFSET = r"\d\d:\d\d(:\d\d(\.\d+)?)? ?(Z|[+-]\d\d(:?\d\d)?)$"


def find_kinds(path: Path, info: dict[str, Any], options: dict[str, str]) -> dict[str, Kind]:
    """Return the kind of each column of times, by its name, for a layer of which pyogrio returned `info`.

    `options` are those that its format is opened with.

    All values are read: an instant where all have an offset, without time zone where none has one, and otherwise the
    text, from which nothing is lost.
    """
    names = [str(name) for name, kind in zip(info["fields"], info["ogr_types"], strict=True) if kind == "OFTDateTime"]
    if not names:
        return {}
    found: dict[str, set[Kind]] = {name: set() for name in names}
    with pyogrio.open_arrow(
        path,
        layer=info["layer_name"],
        columns=names,
        read_geometry=False,
        use_pyarrow=True,
        datetime_as_string=True,
        **options,
    ) as (_, reader):
        for batch in reader:
            for name in names:
                found[name] |= _kinds_of(batch.column(name))
    # A column without values remains one of times.
    return {name: kinds.pop() if len(kinds) == 1 else "text" if kinds else "timestamp" for name, kinds in found.items()}


def convert(batch: SourceBatch, kinds: dict[str, Kind]) -> SourceBatch:
    """Return a batch whose columns of times have the types of their kinds."""
    if not kinds:
        return batch
    names = batch.attributes.schema.names
    columns = [
        column.cast(ARROW_TYPES[kinds[name]]) if name in kinds else column
        for name, column in zip(names, batch.attributes.columns, strict=True)
    ]
    return replace(batch, attributes=pa.RecordBatch.from_arrays(columns, names=names))


def _kinds_of(values: pa.Array) -> set[Kind]:
    """Return which kinds would read the values of a batch."""
    known = values.drop_null()
    offsets = pc.match_substring_regex(known, _OFFSET)
    parts: dict[Kind, pa.Array] = {
        "timestamptz": known.filter(offsets),
        "timestamp": known.filter(pc.invert(offsets)),
    }
    return {kind if _reads(part, kind) else "text" for kind, part in parts.items() if len(part)}


def _reads(values: pa.Array, kind: Kind) -> bool:
    try:
        values.cast(ARROW_TYPES[kind])
    except pa.ArrowInvalid:
        return False
    return True
