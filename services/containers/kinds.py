"""Kinds of files, by extension: what can be catalogued, what belongs to another file, and all the rest. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Literal

from repositories.storage.blobs import BlobFacts
from schema.settings import EXPORTS, RESULTS, Settings
from services.raster.names import RASTER_EXTENSIONS
from services.vector.formats import EXTENSIONS as VECTOR_EXTENSIONS

Kind = Literal["raster", "vector", "sidecar", "other"]
SIDECARS = (".shx", ".dbf", ".prj", ".cpg", ".sbn", ".sbx", ".qix", ".qmd", ".ovr", ".msk", ".tfw", ".aux.xml")
"""Parts of a shapefile, and files beside a raster: nothing by themselves."""
CATALOGUED = (*RASTER_EXTENSIONS, *VECTOR_EXTENSIONS)


def kind_of_blob(facts: BlobFacts) -> Kind:
    """Tell it of a blob in a list: an output that is no raster is a mosaic, which lies beside its tiles."""
    kind = kind_of(facts.name)
    return "sidecar" if facts.mark and kind != "raster" else kind


def is_own(settings: Settings, container: str, name: str) -> bool:
    """Tell whether a name is that of a large result or an export, which are of jobs and no data of anybody's."""
    return container == settings.output_container and name.startswith((RESULTS, EXPORTS))


def kind_of(name: str) -> Kind:
    """Tell what a blob is likely to be; only reading it would tell for certain."""
    lower = name.lower()
    if lower.endswith(SIDECARS):
        return "sidecar"
    suffix = PurePosixPath(lower).suffix
    if suffix in RASTER_EXTENSIONS:
        return "raster"
    return "vector" if suffix in VECTOR_EXTENSIONS else "other"
