"""Validation of STAC records without a network, by the schemas that pystac bundles and those beside the project."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pystac

EXTENSIONS = Path(__file__).parents[4] / "shared" / "stac-schemas"
PREFIX = "https://stac-extensions.github.io/"


@cache
def _schema(uri: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((EXTENSIONS / uri.removeprefix(PREFIX)).read_text())
    if uri.startswith(f"{PREFIX}projection/"):
        # It refers to PROJ's own schema for proj:projjson, which is not here and not written.
        return {
            **found,
            **json.loads(json.dumps(found).replace('"$ref": "https://proj.org', '"$comment": "https://proj.org')),
        }
    return found


def validate(record: dict[str, Any]) -> list[str]:
    """Raise for a record that is not valid; gives the extensions whose schemas were not at hand."""
    unchecked = []
    for uri in record.get("stac_extensions", []):
        if (EXTENSIONS / uri.removeprefix(PREFIX)).exists():
            jsonschema.validate(record, _schema(uri))
        else:
            unchecked.append(uri)
    core = pystac.Item if record["type"] == "Feature" else pystac.Collection
    core.from_dict({**record, "stac_extensions": []}).validate()
    return unchecked
