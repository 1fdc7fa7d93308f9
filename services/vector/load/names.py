"""Names in the database: tables from file names, columns from anything, and what is derived from them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from repositories.identifiers import MAX_NAME_BYTES, cut

MAX_TABLE_BYTES = 50
TABLE_PATTERN = r"^[a-z][a-z0-9_]*$"
REJECTS_SUFFIX = "__rejects"
OWN_TABLES = frozenset((("geo", "tiling_plans"), ("geo", "tiles")))
"""Schema and name of tables that Geostage keeps beside those that it loads."""
_EXTENSIONS = r"\.(zip|shp|gpkg|geojsonl|geojson|ndjson|json|kml|kmz|csv|tsv|fgb|geoparquet|parquet)$"

OWN_COLUMNS = frozenset(("id", "geom", "fid"))
"""Columns that Geostage makes, or that clients such as QGIS take for the key; a source column gets `source_`."""
_SYSTEM_COLUMNS = frozenset(("tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"))


def table_name_of(blob: str) -> str | None:
    """Make a plain identifier of a file's stem: lower case, a to z, digits and underscores, at most 50 bytes.

    None when nothing of the name is left.
    """
    stem = PurePosixPath(blob).name
    # Twice: roads.shp.zip has two extensions.
    for _ in range(2):
        stem = re.sub(_EXTENSIONS, "", stem, flags=re.IGNORECASE)
    name = _plain_ascii(stem)
    if not name:
        return None
    if not name[0].isalpha():
        name = f"t_{name}"
    return name[:MAX_TABLE_BYTES].rstrip("_")


def layer_suffixes(layers: Iterable[str]) -> list[str]:
    """Make what is added to a table's name for each of its layers: "__" and the layer's name, plain and unique."""
    # A layer named "rejects" would get the name of the table of rejected rows.
    taken = {REJECTS_SUFFIX.strip("_")}
    suffixes = []
    for layer in layers:
        name = _unique(_plain_ascii(layer) or "layer", taken)
        taken.add(name)
        suffixes.append(f"__{name}")
    return suffixes


def _plain_ascii(text: str) -> str:
    # NFKD takes accents off letters, but has no two letters for ß.
    plain = unicodedata.normalize("NFKD", text.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")


def column_names(sources: Iterable[str]) -> list[str]:
    """Make the names of a table's columns, in order: lower case, unique, at most 63 bytes, readable.

    Letters of every script are kept, other characters become underscores: "Größe (m²)" becomes "größe_m2".
    """
    # PostgreSQL refuses a table with two columns of one name.
    taken: set[str] = set(OWN_COLUMNS)
    names = []
    for source in sources:
        name = _unique(_plain(source), taken)
        taken.add(name)
        names.append(name)
    return names


def _plain(source: str) -> str:
    # Lower case may undo the normal form (İ becomes i and a dot), hence twice.
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", source).lower())
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" else "_" for char in text)
    name = re.sub(r"_+", "_", kept).strip("_") or "column"
    if name in OWN_COLUMNS or name in _SYSTEM_COLUMNS:
        return f"source_{name}"
    if not name[0].isalpha():
        name = f"_{name}"
    return cut(name, MAX_NAME_BYTES).rstrip("_") or "column"


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        number += 1
        suffix = f"_{number}"
        candidate = cut(name, MAX_NAME_BYTES - len(suffix)).rstrip("_") + suffix
    return candidate
