"""References: what a file names beyond itself. Nothing of it is ever opened, nor does an answer depend on it."""

from __future__ import annotations

import re

from schema.clipping import clip
from schema.errors import PermanentError

_FILES_OF_CRS = (
    re.compile(r'PARAMETERFILE\s*[\[(]\s*"[^"]*"\s*,\s*"([^"]*)"', re.IGNORECASE),
    re.compile(r'EXTENSION\s*[\[(]\s*"PROJ4_GRIDS"\s*,\s*"([^"]*)"', re.IGNORECASE),
    re.compile(r'"value"\s*:\s*"([^"]*)"'),
    re.compile(r'\b(?:\w*grids|file|catalog|init)=([^\s"]+)', re.IGNORECASE),
)
"""Where WKT, PROJJSON and PROJ strings name files: grids of datum shifts and geoids, and tables of definitions."""
_PLACE = re.compile(r"[/\\~]")


def external_reference(message: str, remedy: str) -> PermanentError:
    """Make the error for a file that names other files or addresses."""
    return PermanentError(message, remediation=remedy, code="external_reference")


def check_crs(definition: str, label: str) -> None:
    """Check that the definition of a CRS, as WKT, PROJJSON or PROJ string, names no file by its place.

    PROJ opens a grid that is named with a path, and its answer tells whether the file is there and holds one. A bare
    name is looked for among PROJ's own grids alone, and @null is none.

    Raises
    ------
    PermanentError
        It does; also for an address.
    """
    for pattern in _FILES_OF_CRS:
        for found in pattern.finditer(definition):
            if _PLACE.search(found[1]):
                raise external_reference(
                    f"{label} has a coordinate reference system that names the file {clip(found[1])!r}; files that a "
                    "file names are not opened.",
                    "Reproject it to a CRS of the EPSG registry, and upload the new file.",
                )
