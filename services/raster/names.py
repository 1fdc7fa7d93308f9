"""Names of outputs: the blobs of COGs, tiles and mosaics. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

DEFAULT_VERSION = "v1"
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


def stem_of(resource_id: str) -> str:
    """Return a blob's name without the extension of a raster; folders stay."""
    path = PurePosixPath(resource_id.strip("/"))
    return str(path.with_suffix("")) if path.suffix.lower() in RASTER_EXTENSIONS else str(path)
