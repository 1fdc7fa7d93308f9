"""Kinds of files, by extension: what can be cataloged, what belongs to another file, and the rest. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from repositories.storage.blobs import BlobFacts
from schema.settings import EXPORTS, RESULTS, Settings
from services.raster.names import RASTER_EXTENSIONS
from services.vector.formats import EXTENSIONS as VECTOR_EXTENSIONS

Kind = Literal["raster", "vector", "sidecar", "other"]
SIDECARS = (".shx", ".dbf", ".prj", ".cpg", ".cst", ".sbn", ".sbx", ".qix", ".qmd", ".ovr", ".msk", ".tfw", ".aux.xml")
"""Parts of a shapefile, and files beside a raster, which mean nothing by themselves."""
CATALOGUED = (*RASTER_EXTENSIONS, *VECTOR_EXTENSIONS)


def kind_of_blob(facts: BlobFacts) -> Kind:
    """Return the kind of a listed blob."""
    kind = kind_of(facts.name)
    # An output that is not a raster is a mosaic, which belongs to its tiles. The mark tells, not the name: elsewhere
    # anybody may call a GeoJSON mosaic.json.
    return "sidecar" if facts.mark and kind != "raster" else kind


def is_own(settings: Settings, container: str, name: str) -> bool:
    """Whether a blob is a large result or an export, which belong to jobs and are not data: a sync skips them."""
    return container == settings.output_container and name.startswith((RESULTS, EXPORTS))


def kind_of(name: str) -> Kind:
    """Return the kind of a blob by its name; only reading it would tell for certain."""
    lower = name.lower()
    if lower.endswith(SIDECARS):
        return "sidecar"
    suffix = PurePosixPath(lower).suffix
    if suffix in RASTER_EXTENSIONS:
        return "raster"
    return "vector" if suffix in VECTOR_EXTENSIONS else "other"
