"""STAC items: what the record of any file says, whatever is in it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pystac
from pyproj import CRS
from pystac.extensions.file import FileExtension
from pystac.extensions.processing import ProcessingExtension
from pystac.extensions.projection import ProjectionExtension

from schema.errors import PermanentError
from schema.jobs import Json
from schema.jsonb import to_jsonb
from services.crs import authority_of
from services.stac.ids import ASSET
from services.stac.items.datetimes import ItemDatetime
from services.stac.items.footprint import Footprint

_SHA2_256 = "1220"
"""Multihash code and length of SHA-256: https://github.com/multiformats/multicodec"""


@dataclass(frozen=True)
class Processing:
    """How an output was made."""

    processed_at: datetime
    software: dict[str, str]


@dataclass(frozen=True)
class StoredFile:
    """A file in storage: an output, or a source as it is."""

    item_id: str
    collection_id: str
    href: str
    source: str
    """container/blob that it was made from, or that it is."""
    size: int
    """Bytes."""
    dated: ItemDatetime
    media_type: str
    title: str
    checksum: str | None = None
    """Multihash, hexadecimal; None where the file was not read as a whole."""
    processing: Processing | None = None
    """None for a source."""
    properties: Json = field(default_factory=dict)
    """Further properties of the item."""


def href_of(base_url: str, container: str, blob: str) -> str:
    """Return the link to a blob, without any key: below the deployment's base URL, else a path within the account."""
    return f"{base_url.rstrip('/')}/{quote(container)}/{quote(blob)}"


def checksum_of(path: Path) -> str:
    """Return a file's SHA-256 as a multihash, hexadecimal. Reads the whole file."""
    with path.open("rb") as file:
        return _SHA2_256 + hashlib.file_digest(file, "sha256").hexdigest()


def new_item(file: StoredFile, outline: Footprint | None) -> pystac.Item:
    """Return the item of a file, without what depends on its kind; its place is unknown if there is no outline."""
    item = pystac.Item(
        id=file.item_id,
        geometry=outline.geometry if outline else None,
        bbox=list(outline.bbox) if outline else None,
        datetime=file.dated.at,
        properties={
            "geostage:datetime_source": file.dated.origin,
            "geostage:source": file.source,
            **file.properties,
        },
        collection=file.collection_id,
    )
    # An item of a collection must link to it; relative to the item's place in a STAC API, which writes its own.
    item.add_link(pystac.Link("collection", f"../../{file.collection_id}", media_type="application/json"))
    item.add_asset(ASSET, pystac.Asset(file.href, title=file.title, media_type=file.media_type, roles=["data"]))
    FileExtension.ext(item.assets[ASSET], add_if_missing=True).apply(size=file.size, checksum=file.checksum)
    if file.processing:
        ProcessingExtension.ext(item, add_if_missing=True).apply(
            lineage=f"Made of {file.source}.",
            software=file.processing.software,
            processing_datetime=file.processing.processed_at,
        )
    return item


def project(item: pystac.Item, crs: CRS, **fields: Any) -> None:
    """Write the CRS of a file into its item: the authority's code, else WKT 2."""
    authority = authority_of(crs)
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=":".join(authority) if authority else None, wkt2=None if authority else crs.to_wkt(), **fields
    )


def record_of(item: pystac.Item) -> Json:
    """Return an item as JSON for pgSTAC. Raises PermanentError if it holds text or numbers that jsonb cannot store."""
    record: Json = item.to_dict(include_self_link=False, transform_hrefs=False)
    try:
        to_jsonb(record)
    except ValueError as exc:
        raise PermanentError(
            f"The record of {item.properties['geostage:source']} cannot be stored: {exc}.",
            remediation="Remove unusual characters and numbers from the metadata of the file, and upload it again.",
            code="record_not_storable",
        ) from exc
    return record
