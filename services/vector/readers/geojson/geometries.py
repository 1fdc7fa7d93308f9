"""Geometries of the features of a part: most of them in arrays, the others one by one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Raw

from services.vector.geometry import reasons, wkb
from services.vector.readers.geojson import odd_geometry
from services.vector.readers.geojson.coordinates import TYPE_CODES, Irregular, write_wkb
from services.vector.readers.geojson.decode import MAX_RAW, AnyFeature, Geometry, OddFeature, read_json


def read_geometries(features: Sequence[AnyFeature]) -> tuple[pa.Array, dict[int, tuple[str, str]]]:
    """Return the features' geometries as WKB, and the rows that cannot be read with their reason and text.

    Null is what has no geometry, and what cannot be read.
    """
    points, others, codes = [], [], []
    odd: dict[int, bytes | None] = {}
    faults: dict[int, tuple[str, str]] = {}
    for row, feature in enumerate(features):
        geometry = feature.geometry
        if isinstance(feature, OddFeature):
            odd[row] = feature.wkb
            if feature.fault:
                faults[row] = feature.fault, feature.raw
        elif geometry is None:
            odd[row] = None
        elif (code := TYPE_CODES.get(geometry.type, 0)) == wkb.POINT:
            points.append(row)
        elif code:
            others.append(row)
            codes.append(code)
        else:
            _read_odd(feature, row, odd, faults)
    arrays, order = [], []
    for group, type_codes in ((points, np.ones(len(points), np.int64)), (others, np.array(codes, np.int64))):
        texts = [features[row].geometry.coordinates for row in group]  # type: ignore[union-attr]
        for start, end, values in _convert(texts, type_codes, 0, len(group)):
            if values is None:
                _read_odd(features[group[start]], group[start], odd, faults)
            else:
                arrays.append(values)
                order += group[start:end]
    return _in_order(arrays, order, odd), faults


def _convert(texts: list[Raw], codes: wkb.Integers, start: int, end: int) -> Iterator[tuple[int, int, pa.Array | None]]:
    """Yield ranges of rows with their WKB; None for a single row that arrays cannot read.

    Rows are halved until the irregular ones are found: one of them costs a few passes over its part.
    """
    if start == end:
        return
    try:
        data, ends = write_wkb(texts[start:end], codes[start:end])
    except Irregular:
        if end - start == 1:
            yield start, end, None
            return
        middle = (start + end) // 2
        yield from _convert(texts, codes, start, middle)
        yield from _convert(texts, codes, middle, end)
    else:
        yield start, end, wkb.from_bytes(data, ends, np.ones(end - start, np.bool_))


def _read_odd(feature: AnyFeature, row: int, odd: dict[int, bytes | None], faults: dict[int, tuple[str, str]]) -> None:
    assert feature.geometry is not None
    try:
        odd[row] = odd_geometry.to_wkb(_as_values(feature.geometry))
    except odd_geometry.Unreadable:
        odd[row] = None
        faults[row] = reasons.UNREADABLE, _as_text(feature)


def _as_values(geometry: Geometry) -> dict[str, Any]:
    members = {"coordinates": bytes(geometry.coordinates), "geometries": bytes(geometry.geometries)}
    return {"type": geometry.type, **{name: read_json(text) for name, text in members.items() if text}}


def _as_text(feature: AnyFeature) -> str:
    assert feature.geometry is not None
    geometry = {"type": feature.geometry.type, "coordinates": feature.geometry.coordinates or None}
    return msgspec.json.encode({"properties": feature.properties, "geometry": geometry})[:MAX_RAW].decode(
        errors="replace"
    )


def _in_order(arrays: list[pa.Array], order: list[int], odd: dict[int, bytes | None]) -> pa.Array:
    """Return geometries in the order of their rows: those of `arrays`, whose rows `order` holds, and single ones."""
    if odd:
        arrays = [*arrays, pa.array(odd.values(), pa.binary())]
    elif len(arrays) == 1:
        return arrays[0]
    return pa.concat_arrays(arrays).take(pa.array(np.argsort([*order, *odd])))
