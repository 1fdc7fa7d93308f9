"""One GeoJSON geometry as WKB, for what is too irregular for arrays: empty parts, collections, NaN, wrong members."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from services.vector.geometry import wkb
from services.vector.readers.geojson.coordinates import TYPE_CODES

_CODE_OF = {name.lower(): code for name, code in TYPE_CODES.items()}
_COLLECTION = wkb.NAMES[wkb.COLLECTION].lower()
_SINGLES = {wkb.MULTIPOINT: wkb.POINT, wkb.MULTILINE: wkb.LINE, wkb.MULTIPOLYGON: wkb.POLYGON}
_Z = 1000
_DEEPEST = 4
"""Brackets around the numbers of a multipolygon."""
_MAX_DEPTH = 32
"""Collections within collections; GDAL follows as many."""


class Unreadable(ValueError):
    """A geometry's type or coordinates are not those of a GeoJSON geometry."""


def is_geometry(value: Any) -> bool:
    """Whether an object has the type of a geometry, however it is written."""
    kind = find_member(value, "type") if isinstance(value, dict) else None
    return isinstance(kind, str) and (kind.lower() in _CODE_OF or kind.lower() == _COLLECTION)


def find_member(value: dict[str, Any], name: str) -> Any:
    """Return a member of an object; where none has the name as it is, one that has it in other letters of case."""
    if name in value:
        return value[name]
    return next((inner for key, inner in value.items() if key.lower() == name), None)


def to_wkb(geometry: Any) -> bytes | None:
    """Return a geometry as WKB, with Z for all points if any has it; None for null and for an object without members.

    Raises
    ------
    Unreadable
        It has no known type, or coordinates that are not numbers in arrays of the type's depth.
    """
    if geometry is None or geometry == {}:
        return None
    simple = list(_simple_geometries(geometry, 0))
    return _read(geometry, 3 if any(_has_z(find_member(one, "coordinates")) for one in simple) else 2)


def _simple_geometries(geometry: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Yield a geometry, or those that a collection holds, at whatever depth."""
    if not is_geometry(geometry) or depth > _MAX_DEPTH:
        raise Unreadable
    if find_member(geometry, "type").lower() != _COLLECTION:
        yield geometry
        return
    for part in _parts(geometry):
        yield from _simple_geometries(part, depth + 1)


def _parts(collection: dict[str, Any]) -> list[Any]:
    # Without null, as GDAL reads it.
    return [one for one in _list(find_member(collection, "geometries")) if one not in (None, {})]


def _read(geometry: dict[str, Any], width: int) -> bytes:
    kind = find_member(geometry, "type").lower()
    if kind == _COLLECTION:
        return _head(wkb.COLLECTION, width) + _counted([_read(part, width) for part in _parts(geometry)])
    return _write(find_member(geometry, "coordinates"), _CODE_OF[kind], width)


def _write(coordinates: Any, code: int, width: int) -> bytes:
    values = _list(coordinates)
    if code == wkb.POINT:
        # An empty array is a point without coordinates, which WKB writes as NaN.
        return _head(code, width) + (_point(values, width) if values else _point([float("nan")] * width, width))
    if code == wkb.LINE:
        body = _counted([_point(_list(point), width) for point in values])
    elif code == wkb.POLYGON:
        body = _counted([_counted([_point(_list(point), width) for point in _list(ring)]) for ring in values])
    else:
        body = _counted([_write(part, _SINGLES[code], width) for part in values])
    return _head(code, width) + body


def _point(values: list[Any], width: int) -> bytes:
    if len(values) < 2 or any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
        raise Unreadable
    numbers = [*values[:width], *([0.0] * (width - len(values)))]
    try:
        return struct.pack(f"<{width}d", *numbers)
    except OverflowError as exc:
        # A whole number that no double reaches.
        raise Unreadable from exc


def _has_z(coordinates: Any, depth: int = 1) -> bool:
    """Whether any point has three numbers. Arrays that are deeper than those of a multipolygon are not looked at."""
    if not isinstance(coordinates, list):
        return False
    if any(isinstance(value, list) for value in coordinates):
        return depth < _DEEPEST and any(_has_z(value, depth + 1) for value in coordinates)
    return len(coordinates) > 2


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise Unreadable
    return value


def _counted(parts: list[bytes]) -> bytes:
    return len(parts).to_bytes(4, "little") + b"".join(parts)


def _head(code: int, width: int) -> bytes:
    return b"\x01" + (code + _Z * (width > 2)).to_bytes(4, "little")
