"""Parameters of a job: text of a command line turned into the JSON types that its job type's schema asks for. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Sequence
from typing import Any

from geostage_client.errors import ClientError, UsageError

Json = dict[str, Any]


def parse_options(texts: Sequence[str], job_type: str, schema: Json) -> Json:
    """Return the parameters that `name=value` texts give. Raises UsageError for a malformed text or a name given twice,
    ClientError for a name or a value that the schema does not know.
    """
    given: Json = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--option {text} is not of the form name=value.", remedy="As in --option layer=roads.")
        if name in given:
            raise UsageError(f"The option {name} is given twice.", remedy="Leave one of them out.")
        given[name] = value
    check_names(given, job_type, schema)
    properties = schema.get("properties", {})
    return {name: _value_of(name, text, properties[name], schema) for name, text in given.items()}


def parse_json(text: str) -> Json:
    """Return the parameters that a JSON text holds. Raises UsageError."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise UsageError(
            f"The parameters are not JSON: {exc}.", remedy="""Quote them for the shell: '{"n": 3}'."""
        ) from exc
    if isinstance(value, dict):
        return value
    raise UsageError("The parameters must be a JSON object.", remedy="""Such as '{"n": 3}'.""")


def check_names(names: Iterable[str], job_type: str, schema: Json) -> None:
    """Raise ClientError for the first name that a job type does not take, with those that are near."""
    known = list(schema.get("properties", {}))
    unknown = next((name for name in names if name not in known), None)
    if unknown is None or not known:
        return
    like = difflib.get_close_matches(unknown, known, n=3)
    remedy = f"Is it {' or '.join(like)}? " if like else ""
    raise ClientError(
        f"{job_type} has no parameter {unknown}.",
        remedy=f"{remedy}geostage types {job_type} lists them.",
        code="invalid_parameters",
        faults=[{"field": unknown, "message": "there is no such parameter"}],
    )


def choices_of(schema: Json, root: Json) -> list[Json]:
    """Return the alternatives of a property's schema, references followed: one, or those of anyOf, oneOf and allOf."""
    if "$ref" in schema:
        return choices_of(root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), root)
    parts = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    return [choice for part in parts for choice in choices_of(part, root)] if parts else [schema]


def _value_of(name: str, text: str, schema: Json, root: Json) -> Any:
    choices = choices_of(schema, root)
    types = {kind for choice in choices for kind in _types_of(choice)}
    # Text is text where the schema allows it, but "max_rejected": 5 is another thing than "5": numbers come first.
    for kind in ("null", "boolean", "integer", "number", "array", "object"):
        if kind in types and (read := _read_as(kind, text)) is not _NOT:
            return read
    if "string" in types or not types:
        return text
    wanted = " or ".join(sorted(types - {"null"}))
    raise ClientError(
        f"{name}={text}: the value must be of type {wanted}.",
        remedy=_EXAMPLES.get(wanted, f"Give {wanted} as JSON, quoted for the shell."),
        code="invalid_parameters",
        faults=[{"field": name, "message": f"must be of type {wanted}"}],
    )


_NOT = object()
_EXAMPLES = {
    "boolean": "Write true or false.",
    "integer": "Write a whole number.",
    "number": "Write a number, with a decimal point.",
}


def _types_of(choice: Json) -> list[str]:
    if "type" in choice:
        kind = choice["type"]
        return list(kind) if isinstance(kind, list) else [kind]
    values = choice.get("enum") or ([choice["const"]] if "const" in choice else [])
    return ["string"] if any(isinstance(value, str) for value in values) else []


def _read_as(kind: str, text: str) -> Any:
    """Return a text as a JSON value of one type; _NOT where it is none."""
    if kind == "boolean":
        return {"true": True, "yes": True, "false": False, "no": False}.get(text.lower(), _NOT)
    try:
        value = json.loads(text, parse_constant=lambda _: _NOT)
    except (ValueError, RecursionError):
        return _NOT
    if kind == "null":
        return None if value is None else _NOT
    if kind in ("array", "object"):
        return value if isinstance(value, list if kind == "array" else dict) else _NOT
    number = isinstance(value, int) if kind == "integer" else isinstance(value, int | float)
    return value if number and not isinstance(value, bool) else _NOT
