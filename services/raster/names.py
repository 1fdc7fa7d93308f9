"""Names of outputs: blobs, and the ids of STAC items and collections. Pure."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

DEFAULT_VERSION = "v1"
MAX_SLUG = 200


def cog_blob(dataset_id: str, resource_id: str, version_id: str | None) -> str:
    """Name the COG of a source in the output container: <dataset_id>/<resource_id less extension>/<version_id>.tif."""
    return f"{dataset_id}/{stem_of(resource_id)}/{version_id or DEFAULT_VERSION}.tif"


def item_id(resource_id: str, version_id: str | None) -> str:
    """Name the STAC item of a source and version."""
    return slug(f"{stem_of(resource_id)}-{version_id or DEFAULT_VERSION}")


def collection_id(dataset_id: str, wished: str | None) -> str:
    """Name the STAC collection: the caller's, else made of the dataset's name."""
    return wished or slug(dataset_id)


def stem_of(resource_id: str) -> str:
    """Give a blob's name without its extension; folders stay."""
    path = PurePosixPath(resource_id.strip("/"))
    return str(path.with_suffix("")) if path.suffix.lower() in (".tif", ".tiff", ".gtiff", ".geotiff") else str(path)


def slug(text: str) -> str:
    """Make an id of any text: lower-case letters of any script, digits, dots, underscores and hyphens."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(char if char.isalnum() or char in "._" else "-" for char in folded)
    return re.sub(r"-{2,}", "-", kept).strip("-.")[:MAX_SLUG] or "raster"
