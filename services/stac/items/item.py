"""STAC items: what the record of any file says, whatever is in it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

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
from services.stac.items.datetimes import Moment
from services.stac.items.footprint import Footprint


@dataclass(frozen=True)
class Making:
    """How an output came about."""

    processed_at: datetime
    software: dict[str, str]


@dataclass(frozen=True)
class StoredFile:
    """A file in storage: an output, or a source as it is."""

    item_id: str
    collection_id: str
    href: str
    source: str
    """container/blob that it was made of, or that it is."""
    size: int
    moment: Moment
    media_type: str
    title: str
    checksum: str | None = None
    """Multihash, hexadecimal; None where the file was not read as a whole."""
    making: Making | None = None
    """None for a source."""
    properties: Json = field(default_factory=dict)
    """Further properties of the item."""


def new_item(file: StoredFile, outline: Footprint | None) -> pystac.Item:
    """Begin the record of a file; without an outline its place is not known."""
    item = pystac.Item(
        id=file.item_id,
        geometry=outline.geometry if outline else None,
        bbox=list(outline.bbox) if outline else None,
        datetime=file.moment.at,
        properties={
            "geostage:datetime_source": file.moment.origin,
            "geostage:source": file.source,
            **file.properties,
        },
        collection=file.collection_id,
    )
    # An item of a collection must link to it; relative to the item's place in a STAC API, which writes its own.
    item.add_link(pystac.Link("collection", f"../../{file.collection_id}", media_type="application/json"))
    item.add_asset(ASSET, pystac.Asset(file.href, title=file.title, media_type=file.media_type, roles=["data"]))
    FileExtension.ext(item.assets[ASSET], add_if_missing=True).apply(size=file.size, checksum=file.checksum)
    if file.making:
        ProcessingExtension.ext(item, add_if_missing=True).apply(
            lineage=f"Made of {file.source}.",
            software=file.making.software,
            processing_datetime=file.making.processed_at,
        )
    return item


def project(item: pystac.Item, crs: CRS, **fields: Any) -> None:
    """Say in which CRS a file is: by its authority's code, else written out."""
    authority = authority_of(crs)
    ProjectionExtension.ext(item, add_if_missing=True).apply(
        code=":".join(authority) if authority else None, wkt2=None if authority else crs.to_wkt(), **fields
    )


def record_of(item: pystac.Item) -> Json:
    """Give an item as pgSTAC takes it. Raises PermanentError when the file has put something in that it cannot."""
    record: Json = item.to_dict(include_self_link=False, transform_hrefs=False)
    try:
        to_jsonb(record)
    except ValueError as exc:
        raise PermanentError(
            f"The record of {item.properties['geostage:source']} cannot be stored: {exc}.",
            remediation="Look for odd characters and numbers in its metadata, and write the file anew.",
            code="record_not_storable",
        ) from exc
    return record
