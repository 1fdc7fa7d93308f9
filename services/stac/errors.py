"""Errors of requests to the catalog: collections that do not exist, areas that are not valid, ids that are taken."""

from __future__ import annotations

from collections.abc import Sequence

from schema.clipping import clip
from schema.errors import PermanentError
from services.names import near_names


def collection_not_found(collection_id: str, known: Sequence[str]) -> PermanentError:
    """Return the error for a collection that does not exist; `known` are ids of collections that do."""
    near = near_names(collection_id, known)
    return PermanentError(
        f"The catalogue has no collection {clip(collection_id)!r}.",
        remediation=f"Did you mean {near}?" if near else "list_collections lists the collections.",
        code="collection_not_found",
    )


def item_taken(item_id: str, collection_id: str, other: str) -> PermanentError:
    """Return the error for an id that belongs to the item of another file."""
    return PermanentError(
        f"The item {item_id} of the collection {collection_id} already describes {other}: both names make the same id.",
        remediation="Submit it with another version_id or collection_id, or rename the file.",
        code="item_taken",
    )


def geometry_invalid(reason: str) -> PermanentError:
    """Return the error for a geometry that is GeoJSON but not valid, for example one that crosses itself."""
    return PermanentError(
        f"intersects is not a valid geometry: {reason}.",
        remediation="Repair it, for example with ST_MakeValid or shapely.make_valid, and send it again.",
        code="invalid_geometry",
    )
