"""Holders of ids: which file's item bears one. Ids are slugs, so that names that look alike may make the same. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from repositories.catalog.catalog import HeldId
from schema.errors import PermanentError
from schema.jobs import Json
from services.raster import errors
from services.stac.items.item import ASSET


@dataclass(frozen=True)
class Holder:
    """The file that an item is about."""

    source: str
    """container/blob that it was made of, or that it is."""
    link: str
    """What a link to its data ends with, wherever the account and its container are: a slash and the blob's name."""
    as_it_is: bool = False
    """The item is about the source itself, not an output of it."""

    @classmethod
    def of_blob(cls, source: str, blob: str) -> Holder:
        """Tell it from a blob in any container."""
        return cls(source, f"/{quote(blob)}")

    @classmethod
    def of_item(cls, item: Json, base_url: str) -> Holder:
        """Tell it from an item that this deployment made, whose links begin with its base URL."""
        _, _, blob = item["assets"][ASSET]["href"].removeprefix(base_url.rstrip("/")).lstrip("/").partition("/")
        properties = item["properties"]
        return cls(properties["geostage:source"], f"/{blob}", as_it_is="geostage:blob" in properties)


def check_holders(collection: str, known: Mapping[str, HeldId], wanted: Mapping[str, Holder]) -> None:
    """See that items may be written; `known` are those that are there, by id, as far as their source is known.

    Raises
    ------
    PermanentError
        item_taken: one is another file's, or that of another version of this one.
    """
    for error in taken(collection, known, wanted).values():
        raise error


def taken(collection: str, known: Mapping[str, HeldId], wanted: Mapping[str, Holder]) -> dict[str, PermanentError]:
    """Give the error of each item that may not be written, by id."""
    holders = {item_id: _other_holder(held, wanted[item_id]) for item_id, held in known.items()}
    return {item_id: errors.item_taken(item_id, collection, holder) for item_id, holder in holders.items() if holder}


def _other_holder(held: HeldId, own: Holder) -> str | None:
    """Say whose an id is if it is not one's own.

    Links tell the outputs of one source apart. Of files as they are the source tells enough, and anybody may have
    rewritten the link, to a cache of the storage for example.
    """
    if held.source != own.source:
        return held.source
    if (held.as_it_is and own.as_it_is) or not held.href or held.href.endswith(own.link):
        return None
    return unquote(held.href)
