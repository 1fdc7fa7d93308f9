"""Job types for people: a schema's parameters as rows of a table, and a command that runs as it stands. Pure."""

from __future__ import annotations

import json
import shlex
from typing import Any

from geostage_client.parameters import choices_of

Json = dict[str, Any]
HEADERS = ("parameter", "type", "default", "meaning")
MAX_TYPE = 40
"""Characters of a type that a column has room for."""


def parameter_rows(schema: Json) -> list[tuple[str, str, str, str]]:
    """Return name, type, default and meaning of each parameter; the required ones first.

    A list of choices that is too long for its column goes to the meaning.
    """
    required = schema.get("required", [])
    properties = schema.get("properties", {})
    rows = []
    for name in sorted(properties, key=lambda name: name not in required):
        own = properties[name]
        kind, meaning = type_of(own, schema), " ".join(str(own.get("description", "")).split())
        if len(kind) > MAX_TYPE:
            kind, meaning = "choice", f"{meaning} One of: {kind.replace(' | ', ', ')}.".strip()
        default = "" if own.get("default") in (None, "") else json.dumps(own["default"], ensure_ascii=False).strip('"')
        rows.append((name, kind, "required" if name in required else default, meaning))
    return rows


def type_of(schema: Json, root: Json) -> str:
    """Return a property's type in words: `integer 1..1000`, `replace | append`, `list of number`."""
    found = [_one_type(choice, root) for choice in choices_of(schema, root) if choice.get("type") != "null"]
    return " | ".join(dict.fromkeys(found)) or "any"


def example_command(job_type: Json) -> str:
    """Return a command that submits a job of this type, with the example that the API has for it."""
    example = json.dumps(job_type["example"], ensure_ascii=False)
    return f"geostage submit {job_type['job_type']} {shlex.quote(example)}"


def _one_type(choice: Json, root: Json) -> str:
    if "enum" in choice:
        return " | ".join(str(value) for value in choice["enum"])
    if "const" in choice:
        return str(choice["const"])
    kind = choice.get("type", "any")
    if kind == "array":
        return f"list of {type_of(choice['items'], root)}" if "items" in choice else "list"
    low, high = choice.get("minimum", choice.get("exclusiveMinimum")), choice.get("maximum")
    if kind not in ("integer", "number") or (low is None and high is None):
        return str(kind)
    return f"{kind} {_bound(low)}..{_bound(high)}"


def _bound(value: float | None) -> str:
    return "" if value is None else f"{value:.12g}"
