"""The crs member of a GeoJSON file: names of CRSs that are known, and no others.

Format: https://geojson.org/geojson-spec.html#coordinate-reference-system-objects, of 2008. RFC 7946 knows longitude and
latitude alone, but files in other CRSs are still written.
"""

from __future__ import annotations

import re
from typing import Any

import pyproj
from pyproj.exceptions import CRSError

from schema.clipping import clip
from schema.errors import PermanentError
from services.vector.readers.geojson.decode import check_link, read_json

WGS84 = "EPSG:4326"
_DEGREES = frozenset(
    name.lower()
    for name in (
        *("CRS84", "OGC:CRS84", "CRS:84", "WGS84", "WGS 84"),
        *("urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:OGC::CRS84", "urn:ogc:def:crs:OGC:1.3:CRS:84"),
        *("http://www.opengis.net/def/crs/OGC/1.3/CRS84", "https://www.opengis.net/def/crs/OGC/1.3/CRS84"),
        *("urn:ogc:def:crs:OGC::CRS84h", "http://www.opengis.net/def/crs/OGC/0/CRS84h"),
    )
)
"""Names of longitude and latitude on WGS 84."""
_CODE = re.compile(
    r"(?:(?P<short>[A-Za-z]+):|urn:(?:x-)?ogc:def:crs:(?P<urn>[A-Za-z]+):(?:[0-9.]*:)?"
    r"|https?://www\.opengis\.net/def/crs/(?P<url>[A-Za-z]+)/[0-9.]+/)(?P<code>[0-9]{4,6})",
    re.IGNORECASE,
)
"""An authority's code as programs write it, a compound CRS left out."""


def read_crs(member: bytes, *, overruled: bool) -> str:
    """Return the CRS that a member `crs` names, such as EPSG:25832; longitude and latitude where it names none.

    Parameters
    ----------
    member
        JSON; empty where there is no member.
    overruled
        Whether the user has named the CRS, so that no name matters.

    Raises
    ------
    PermanentError
        external_reference: it names an address. crs_unknown: a name that is not known, which would otherwise be taken
        for longitude and latitude.
    """
    check_link(member)
    name = _name_in(read_json(member)) if member else None
    if name is None or overruled or name.lower() in _DEGREES:
        return WGS84
    found = _CODE.fullmatch(name)
    if found:
        authority = (found["short"] or found["urn"] or found["url"]).upper()
        try:
            pyproj.CRS.from_authority(authority, found["code"])
        except CRSError:
            pass
        else:
            return f"{authority}:{found['code']}"
    raise PermanentError(
        f"The file's coordinate reference system {clip(name, 200)!r} is not known.",
        remediation='Name the CRS with "source_crs", such as "EPSG:25832", or correct the file\'s member "crs".',
        code="crs_unknown",
    )


def _name_in(member: Any) -> str | None:
    member = _lower(member)
    kind, properties = str(member.get("type")).lower(), _lower(member.get("properties"))
    # Programs write more behind the first letters, which are what GDAL looks at.
    if kind.startswith("epsg") and "code" in properties:
        return f"EPSG:{properties['code']}"
    name = properties.get("urn" if kind.startswith("ogc") else "name")
    return name if kind.startswith(("name", "ogc")) and isinstance(name, str) else None


def _lower(value: Any) -> dict[str, Any]:
    return {key.lower(): inner for key, inner in value.items()} if isinstance(value, dict) else {}
