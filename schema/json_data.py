"""Values that one task or stage hands to another: frozen dataclasses in code, JSON in the database."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from pydantic import TypeAdapter

from schema.jobs import Json


@dataclass(frozen=True)
class JsonData:
    """Base of such values: the keys of the JSON are the names of the fields."""

    def as_json(self) -> Json:
        """Return the value as JSON."""
        data: Json = _adapter(type(self)).dump_python(self, mode="json")
        return data

    @classmethod
    def from_json(cls, data: Json | None) -> Self:
        """Return the value that as_json wrote. Raises pydantic.ValidationError for any other.

        Keys that are not fields are passed over: a deployment may find the tasks of another version in its queues.
        """
        value: Self = _adapter(cls).validate_python(data)
        return value


_adapters: dict[type[JsonData], TypeAdapter[Any]] = {}
"""Kept: each is compiled from the annotations of its class, and a controller reads up to 10,000 results of one kind."""


def _adapter(kind: type[JsonData]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]
