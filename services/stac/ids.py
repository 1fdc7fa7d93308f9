"""STAC ids: how items and collections are named, and which ids are already taken. Pure.

Ids are slugs of names in storage, so two names that look alike may make the same id. No item of one file ever replaces
that of another: whoever writes asks `taken_ids` first, and again while the catalog is locked.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from repositories.catalog.catalog import ItemOwner
from schema.errors import PermanentError
from schema.jobs import Json
from services.raster.names import DEFAULT_VERSION, stem_of
from services.stac.errors import item_taken

MAX_SLUG = 200
"""Characters."""
ASSET = "data"
"""Key of the asset that holds a file's data."""


def slug(text: str) -> str:
    """Make an id of any text: lower-case letters of any script, digits, dots, underscores and hyphens."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(char if char.isalnum() or char in "._" else "-" for char in folded)
    return re.sub(r"-{2,}", "-", kept).strip("-.")[:MAX_SLUG] or "raster"


def collection_id(dataset_id: str, wished: str | None) -> str:
    """Return the collection of a job's items: the one that was asked for, else the slug of the dataset's name."""
    return wished or slug(dataset_id)


def item_id(resource_id: str, version_id: str | None) -> str:
    """Return the id of the item of a source's output in one version."""
    return slug(f"{stem_of(resource_id)}-{version_id or DEFAULT_VERSION}")


def tile_item_id(resource_id: str, version_id: str | None, tile_id: str) -> str:
    """Return the id of a tile's item; where it would be too long the tile's own name is kept and the rest is cut."""
    return f"{item_id(resource_id, version_id)[: MAX_SLUG - len(tile_id) - 1]}-{tile_id}"


def source_item_id(dataset_id: str, resource_id: str) -> str:
    """Return the id of the item of a file as it is: unique to the file, and the same whenever it is cataloged."""
    # The digest tells files apart whose names differ only in characters that an id may not hold, or in their container.
    digest = hashlib.sha256(f"{dataset_id}/{resource_id}".encode()).hexdigest()
    return f"{slug(resource_id)}-{digest[:10]}"


@dataclass(frozen=True)
class ItemFile:
    """The file that an item is about."""

    source: str
    """container/blob that it was made from, or that it is."""
    link_end: str
    """What a link to its data ends with, wherever the account and its container are: a slash and the blob's name."""
    is_source: bool = False
    """The item is about the source itself, not about an output made from it."""

    @classmethod
    def of_blob(cls, source: str, blob: str) -> ItemFile:
        """Return the file of an output: a blob in any container, made from a source."""
        return cls(source, f"/{quote(blob)}")

    @classmethod
    def of_item(cls, item: Json, base_url: str) -> ItemFile:
        """Return the file of an item that this deployment made, whose links begin with its base URL."""
        _, _, blob = item["assets"][ASSET]["href"].removeprefix(base_url.rstrip("/")).lstrip("/").partition("/")
        properties = item["properties"]
        return cls(properties["geostage:source"], f"/{blob}", is_source="geostage:blob" in properties)


def check_ids(collection: str, owners: Mapping[str, ItemOwner], wanted: Mapping[str, ItemFile]) -> None:
    """Raise PermanentError (item_taken) if an id belongs to another file, or to another version of the same one.

    `owners` are the existing items by id, as far as they name their source; `wanted` the files to be cataloged, by id.
    """
    for error in taken_ids(collection, owners, wanted).values():
        raise error


def taken_ids(
    collection: str, owners: Mapping[str, ItemOwner], wanted: Mapping[str, ItemFile]
) -> dict[str, PermanentError]:
    """Return the error of each id that belongs to another file."""
    others = {name: _other_file(owner, wanted[name]) for name, owner in owners.items()}
    return {name: item_taken(name, collection, other) for name, other in others.items() if other}


def _other_file(owner: ItemOwner, own: ItemFile) -> str | None:
    """Return the name of the file that an id belongs to, None if it is one's own."""
    if owner.source != own.source:
        return owner.source
    # Links tell the outputs of one source apart. An item about the source itself needs no link, and others may have
    # rewritten its link, for example to a cache of the storage account.
    if (owner.is_source and own.is_source) or not owner.href or owner.href.endswith(own.link_end):
        return None
    return unquote(owner.href)
