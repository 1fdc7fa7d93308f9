"""Holders of ids: which file's item bears one. Ids are slugs, so that names that look alike may make the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from schema.jobs import Json
from services.raster import errors
from services.stac.item import ASSET


@dataclass(frozen=True)
class Holder:
    """The file that an item is about."""

    source: str
    """container/blob that it was made of, or that it is."""
    link: str
    """What a link to its data ends with, wherever the account and its container are: a slash and the blob's name."""

    @classmethod
    def of_blob(cls, source: str, blob: str) -> Holder:
        """Tell it from a blob in any container."""
        return cls(source, f"/{quote(blob)}")

    @classmethod
    def of_item(cls, item: Json, base_url: str) -> Holder:
        """Tell it from an item that this deployment made, whose links begin with its base URL."""
        _, _, blob = item["assets"][ASSET]["href"].removeprefix(base_url.rstrip("/")).lstrip("/").partition("/")
        return cls(item["properties"]["geostage:source"], f"/{blob}")


def check_holders(collection: str, known: Mapping[str, tuple[str, str]], wanted: Mapping[str, Holder]) -> None:
    """See that items may be written.

    `known` are the source and the data's link of items that are there, by id, as far as their source is known.

    Raises
    ------
    PermanentError
        item_taken: one is another file's, or that of another version of this one.
    """
    for item_id, (source, href) in known.items():
        own = wanted[item_id]
        if source != own.source:
            raise errors.item_taken(item_id, collection, source)
        if href and not href.endswith(own.link):
            raise errors.item_taken(item_id, collection, unquote(href))
