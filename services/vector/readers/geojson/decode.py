"""Features out of JSON text: all of a part at once, or one by one where the parser does not take the part.

The parser reads strict JSON, and of a feature the members that matter; coordinates stay text. Whatever it refuses
(NaN, bytes that are not UTF-8, half a surrogate pair, an entry that is not a Feature) is read by Python's parser,
feature by feature: so one odd row changes the reading of no other.
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
from msgspec import Raw

from schema.errors import PermanentError
from services.references import external_reference
from services.vector.geometry import reasons
from services.vector.readers.geojson import odd_geometry
from services.vector.readers.geojson.odd_geometry import find_member
from services.vector.readers.geojson.scan import find_elements

MAX_RAW = 10_000
"""Bytes of a faulty feature that are kept."""
_MAX_DIGITS = 4_000
"""Python refuses to read whole numbers of more than 4,300."""
_FEATURE = "Feature"
_NONE = Raw()
_LINKS = ("link", "url")
_BETWEEN = re.compile(rb"[ \t\r\n]*,?[ \t\r\n]*")
"""What stands before an element of a list."""


# gc: a part has thousands of them, without a cycle; the collector would look at each again and again.
class Geometry(msgspec.Struct, gc=False):
    """A geometry whose coordinates are still text."""

    type: str
    coordinates: Raw = _NONE
    geometries: Raw = _NONE
    crs: Raw = _NONE


class Feature(msgspec.Struct, gc=False):
    """A row. Members that are not here are passed over."""

    type: str
    geometry: Geometry | None
    properties: dict[str, Any] | None
    id: Raw = _NONE
    crs: Raw = _NONE


class BareFeature(msgspec.Struct, gc=False):
    """A row without its attributes."""

    type: str
    geometry: Geometry | None
    properties: Raw
    id: Raw = _NONE
    crs: Raw = _NONE


class OddFeature(Feature, gc=False):
    """A row that Python's parser has read."""

    wkb: bytes | None = None
    fault: str = ""
    """A reason of `reasons`."""
    raw: str = ""


AnyFeature = Feature | BareFeature
_WHOLE = msgspec.json.Decoder(list[Feature])
_BARE = msgspec.json.Decoder(list[BareFeature])
_ONE = msgspec.json.Decoder(Feature)
_ONE_BARE = msgspec.json.Decoder(BareFeature)
_ELEMENTS = msgspec.json.Decoder(list[Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])


class NotJson(ValueError):
    """Text that is not JSON: with where in it, in bytes, and the parser's words."""

    def __init__(self, place: int, words: str) -> None:
        super().__init__(words)
        self.place = place
        self.words = words


def read_features(text: bytes | memoryview, *, bare: bool = False) -> list[AnyFeature] | None:
    """Return the features in a text of elements with commas between them; None when it is not a list of JSON values.

    That it is one proves that text begins and ends where elements do, and that no element is missing.

    Raises
    ------
    PermanentError
        A feature names a CRS by a link.
    """
    # In one copy: of each further one the system has to provide fresh memory, which takes longer than the copying.
    wrapped = b"".join((b"[", text, b"]"))
    try:
        features: list[AnyFeature] = (_BARE if bare else _WHOLE).decode(wrapped)  # type: ignore[assignment]
        _check_links(features)
        if {one.type for one in features} <= {_FEATURE}:
            return features
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        elements = _ELEMENTS.decode(wrapped)
    except (msgspec.DecodeError, RecursionError):
        return None
    return [read_feature(bytes(one), bare=bare) for one in elements]


def read_elements(text: bytes, *, bare: bool = False) -> list[AnyFeature]:
    """Return the features in a text of elements, found by their brackets and read one by one. Raises NotJson."""
    found = []
    for start, end in find_elements(text):
        try:
            found.append(read_feature(text[start:end], bare=bare))
        except NotJson as exc:
            raise NotJson(start + exc.place, exc.words) from exc
    return found


def find_places(text: bytes) -> list[tuple[int, int]]:
    """Return where each element of a text begins and ends that read_features or read_elements has read."""
    try:
        elements = _ELEMENTS.decode(b"[" + text + b"]")
    except (msgspec.DecodeError, RecursionError):
        return find_elements(text)
    places, end = [], 0
    for element in elements:
        start = _BETWEEN.match(text, end).end()  # type: ignore[union-attr]
        end = start + memoryview(element).nbytes
        places.append((start, end))
    return places


def read_feature(text: bytes, *, bare: bool = False, alone: bool = False) -> AnyFeature:
    """Return one feature; a bare geometry is one where it stands `alone`, outside of a list of features.

    Raises
    ------
    NotJson
        The text is not JSON, even if NaN and bytes that are not UTF-8 are allowed.
    PermanentError
        It is nested too deeply, or names a CRS by a link.
    """
    try:
        feature: AnyFeature = (_ONE_BARE if bare else _ONE).decode(text)
        if feature.type == _FEATURE:
            _check_links([feature])
            return feature
    except (msgspec.DecodeError, RecursionError):
        pass
    value = read_json(text)
    if alone and odd_geometry.is_geometry(value):
        value = {"type": _FEATURE, "geometry": value, "properties": {}, "crs": find_member(value, "crs")}
    raw = text[:MAX_RAW].decode(errors="replace")
    kind = find_member(value, "type") if isinstance(value, dict) else None
    if kind != _FEATURE:
        return OddFeature(str(kind), None, None, fault=reasons.NOT_A_FEATURE, raw=raw)
    return _odd(value, raw)


def read_json(text: bytes) -> Any:
    """Return JSON as Python's parser reads it, texts of bytes that are not UTF-8 with surrogates. Raises NotJson."""
    try:
        return json.loads(
            text.decode(errors="surrogateescape"), strict=False, parse_int=_whole_number, parse_float=_decimal
        )
    except json.JSONDecodeError as exc:
        place = len(exc.doc[: exc.pos].encode(errors="surrogateescape"))
        raise NotJson(place, exc.msg) from exc
    except RecursionError as exc:
        raise _too_deep() from exc


def write_json(value: Any) -> str:
    """Write a value that a parser has read. Raises PermanentError for one that is nested too deeply."""
    try:
        return json.dumps(value)
    except RecursionError as exc:
        # Python writes less deep values than the parser reads.
        raise _too_deep() from exc


def _too_deep() -> PermanentError:
    return PermanentError(
        "The file holds arrays or objects that are nested too deeply to be read.",
        remediation="Write what is nested as text, or leave it out, and upload the file again.",
        code="source_unreadable",
    )


def read_members(text: bytes) -> dict[str, Raw]:
    """Return the members of an object, their values as text. Raises NotJson."""
    try:
        return _MEMBERS.decode(text)
    except (msgspec.DecodeError, RecursionError):
        value = read_json(text)
        if not isinstance(value, dict):
            raise NotJson(0, "not an object") from None
        return {key: Raw(write_json(inner).encode()) for key, inner in value.items()}


def check_link(crs: bytes) -> None:
    """Check that a member `crs` does not name a CRS by its address. Raises PermanentError."""
    if not crs:
        return
    member = read_json(crs)
    kind = find_member(member, "type") if isinstance(member, dict) else None
    if isinstance(kind, str) and kind.lower().startswith(_LINKS):
        raise external_reference(
            'A member "crs" of the file is of type link or url; what a file refers to is not fetched.',
            'Write the name of the CRS instead, such as {"type": "name", "properties": {"name": '
            '"urn:ogc:def:crs:EPSG::25832"}}, or leave the member out and submit the file with "source_crs".',
        )


def _check_links(features: list[AnyFeature]) -> None:
    # Two tests for each row; the member is almost never there.
    for one in features:
        if one.crs is not _NONE or (one.geometry is not None and one.geometry.crs is not _NONE):
            check_link(bytes(one.crs))
            check_link(bytes(one.geometry.crs) if one.geometry else b"")


def _odd(value: dict[str, Any], raw: str) -> OddFeature:
    """Return a feature of Python's values; what is not as GeoJSON wants it gets a reason."""
    geometry, properties = find_member(value, "geometry"), find_member(value, "properties")
    for holder in (value, geometry):
        if isinstance(holder, dict) and "crs" in holder:
            check_link(write_json(holder["crs"]).encode())
    if "properties" not in map(str.lower, value):
        # GDAL takes other members of a feature without properties for them, and so do programs that write such files.
        properties = {key: inner for key, inner in value.items() if key.lower() not in _OWN_MEMBERS}
    fault, shape = "", None
    if not isinstance(properties, dict | None):
        fault, properties = reasons.NOT_A_FEATURE, None
    try:
        shape = odd_geometry.to_wkb(geometry)
    except odd_geometry.Unreadable:
        fault = fault or reasons.UNREADABLE
    given, crs = (Raw(write_json(value[name]).encode()) if value.get(name) else _NONE for name in ("id", "crs"))
    return OddFeature(_FEATURE, None, properties, given, crs, wkb=shape, fault=fault, raw=raw if fault else "")


_OWN_MEMBERS = frozenset(("type", "geometry", "id", "bbox", "center", "centroid", "crs"))


def _whole_number(digits: str) -> int | str:
    return int(digits) if len(digits) < _MAX_DIGITS else digits


def _decimal(digits: str) -> float | str:
    # 1e400 is a number that no double reaches: as text it stays what it is.
    value = float(digits)
    return digits if value in (float("inf"), float("-inf")) else value
