"""Names: blobs of outputs, and the ids of STAC items and collections. Pure."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import PurePosixPath

DEFAULT_VERSION = "v1"
MAX_SLUG = 200
RASTER_EXTENSIONS = (".tif", ".tiff", ".gtiff", ".geotiff")


def cog_blob(dataset_id: str, resource_id: str, version_id: str | None) -> str:
    """Name the COG of a source in the output container: <dataset_id>/<resource_id less extension>/<version_id>.tif."""
    return f"{dataset_id}/{stem_of(resource_id)}/{version_id or DEFAULT_VERSION}.tif"


def version_folder(dataset_id: str, resource_id: str, version_id: str | None) -> str:
    """Name the folder of a source's tiles and mosaics: what the COG of the whole is called, less extension."""
    return cog_blob(dataset_id, resource_id, version_id).removesuffix(".tif")


def tile_blob(folder: str, tile_id: str) -> str:
    """Name the COG of a tile, below the folder of its version."""
    return f"{folder}/tiles/{tile_id}.tif"


def mosaic_blobs(folder: str) -> tuple[str, str]:
    """Name the VRT and the MosaicJSON of a version's tiles."""
    return f"{folder}/mosaic.vrt", f"{folder}/mosaic.json"


def tile_item_id(resource_id: str, version_id: str | None, tile_id: str) -> str:
    """Name the STAC item of a tile; the tile's own name is kept when the rest is too long."""
    return f"{item_id(resource_id, version_id)[: MAX_SLUG - len(tile_id) - 1]}-{tile_id}"


def item_id(resource_id: str, version_id: str | None) -> str:
    """Name the STAC item of a source and version."""
    return slug(f"{stem_of(resource_id)}-{version_id or DEFAULT_VERSION}")


def source_item_id(dataset_id: str, resource_id: str) -> str:
    """Name the STAC item of a file as it is: unlike that of any other file, and the same whenever it is catalogued.

    The digest tells files apart whose names differ only in what an id may not hold, or in their container.
    """
    digest = hashlib.sha256(f"{dataset_id}/{resource_id}".encode()).hexdigest()
    return f"{slug(resource_id)}-{digest[:10]}"


def collection_id(dataset_id: str, wished: str | None) -> str:
    """Name the STAC collection: the caller's, else made of the dataset's name."""
    return wished or slug(dataset_id)


def stem_of(resource_id: str) -> str:
    """Give a blob's name without its extension; folders stay."""
    path = PurePosixPath(resource_id.strip("/"))
    return str(path.with_suffix("")) if path.suffix.lower() in RASTER_EXTENSIONS else str(path)


def slug(text: str) -> str:
    """Make an id of any text: lower-case letters of any script, digits, dots, underscores and hyphens."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    kept = "".join(char if char.isalnum() or char in "._" else "-" for char in folded)
    return re.sub(r"-{2,}", "-", kept).strip("-.")[:MAX_SLUG] or "raster"
