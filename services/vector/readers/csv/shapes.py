"""Shapes in tables of text: WKT, EWKT, WKB and EWKB in hex, and GeoJSON. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from services.vector.geometry import reasons, wkb
from services.vector.geometry.wkb import Coordinates, Flags

_SHAPE = re.compile(
    r"\s*(SRID=\d+;)?\s*(POINT|LINESTRING|POLYGON|MULTI|GEOMETRYC|CURVE|CIRC|COMPOUND|TIN|TRIANGLE|SURFACE|POLYH)"
    r"|\s*0[01][0-9a-f]{8,}\s*$",
    re.IGNORECASE,
)
_GEOJSON_KEYS = ('"coordinates"', '"geometry"', '"geometries"')
# The member crs, which RFC 7946 has no longer but PostGIS writes: "EPSG:25832" or "urn:ogc:def:crs:EPSG::25832".
_CRS_MEMBER = re.compile(r'"crs"\s*:\s*\{[^{}]*\{[^{}]*"(?:EPSG|urn:ogc:def:crs:EPSG):(?:[0-9.]*:)?([0-9]{4,6})"')
_CURVE_OR_SURFACE = re.compile(r"CIRC|COMPOUND|CURVE|MULTIC|MULTIS|TIN|TRIANGLE|POLYH", re.IGNORECASE)
"""How the WKT of types begins that shapely cannot read."""


def is_shape(text: str) -> bool:
    """Whether a value looks like a shape."""
    return bool(_SHAPE.match(text)) or (text.lstrip()[:1] == "{" and any(key in text for key in _GEOJSON_KEYS))


def read_shapes(values: pa.Array) -> tuple[pa.Array, Flags, set[int]]:
    """Read a column of WKT, EWKT, WKB or EWKB in hex, or GeoJSON.

    Parameters
    ----------
    values
        Strings, shape (n,).

    Returns
    -------
    shapes
        ISO WKB with Z and M, shape (n,); null where there is none.
    wrong
        Shape (n,): values that are there but cannot be read.
    srids
        All SRIDs that values name.
    """
    texts = [None if text is None or not text.strip() else text.strip() for text in values.to_pylist()]
    given = np.array([text is not None for text in texts], np.bool_)
    bare, srids = zip(*(_split_srid(text) for text in texts), strict=True) if texts else ((), ())
    words, begins = np.array(bare, np.object_), np.array([text[:1] if text else "" for text in bare], np.str_)
    shapes = np.full(len(texts), None, np.object_)
    for read, chosen in (
        (shapely.from_geojson, begins == "{"),
        (shapely.from_wkb, begins == "0"),
        (shapely.from_wkt, (begins != "{") & (begins != "0")),
    ):
        if chosen.any():
            shapes[chosen] = _read(read, words[chosen])
    found = {int(number) for number in np.unique(shapely.get_srid(shapes)) if number > 0}
    found |= {srid for srid in srids if srid}
    values = pa.array(shapely.to_wkb(shapes, output_dimension=4, flavor="iso", byte_order=1), pa.binary())
    return values, given & shapely.is_missing(shapes), found


def _read(read: Callable[..., Any], texts: Any) -> Any:
    """Read texts with a function of shapely: an array of geometries, None for those that cannot be read."""
    try:
        # A number too large for a double is one that cannot be read, and no reason for a warning of numpy.
        with np.errstate(all="ignore"):
            return read(texts, on_invalid="ignore")
    except NotImplementedError:
        # With a curve among them shapely reads none of the array, so halves are tried, down to the curve.
        if len(texts) == 1:
            return np.array([None], np.object_)
        half = len(texts) // 2
        return np.concatenate([_read(read, texts[:half]), _read(read, texts[half:])])


def shape_fault(text: str) -> str:
    """Return the reason why a shape was not read: curves and surfaces may be well written, but are not supported."""
    bare, _ = _split_srid(text.strip())
    if bare and bare[:1] == "0" and re.fullmatch("[0-9a-fA-F]{10,}", bare[:18]):
        kind = wkb.read_headers(pa.array([bytes.fromhex(bare[:10])])).type_codes[0]
        is_unsupported = wkb.COLLECTION < kind < len(wkb.NAMES)
    else:
        is_unsupported = bool(bare and _CURVE_OR_SURFACE.match(bare))
    return reasons.UNSUPPORTED if is_unsupported else reasons.COORDINATES_UNREADABLE


def first_points(shapes: pa.Array) -> Coordinates:
    """Return the first point of each shape in WKB that has one, x and y: shape (n, 2)."""
    read = shapely.from_wkb(shapes.drop_null().to_numpy(zero_copy_only=False))
    points, owners = shapely.get_coordinates(read, return_index=True)
    _, firsts = np.unique(owners, return_index=True)
    return points[firsts]


def _split_srid(text: str | None) -> tuple[str | None, int]:
    if text is not None and text[:1] == "{" and '"crs"' in text:
        stated = _CRS_MEMBER.search(text)
        # A CRS that cannot be told makes the row one that cannot be read.
        return (text, int(stated[1])) if stated else (text if "CRS84" in text else "{}", 0)
    if text is None or text[:5].upper() != "SRID=":
        return text, 0
    head, _, rest = text.partition(";")
    number = head[5:].strip()
    # SRIDs have up to six digits: PostGIS allows 998,999.
    return rest.strip(), int(number) if number.isdecimal() and len(number) < 7 else 0
