"""Items that a task writes: made from its outputs, checked for ids that are taken, and written with its completion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pystac

from repositories.catalog import catalog
from schema.errors import PermanentError
from schema.jobs import Json
from services.context import TaskContext
from services.raster.source.statistics import RasterStatistics
from services.stac.collections.collection import new_collection
from services.stac.collections.extent import EXTENTS
from services.stac.ids import ItemFile, check_ids, collection_id, taken_ids
from services.stac.items.item import href_of
from services.stac.items.output_item import Output, make_output_item


def output_item(
    ctx: TaskContext, path: Path, blob: str, statistics: RasterStatistics, item_id: str, collection: str | None
) -> pystac.Item:
    """Return the item of a COG at `path` that is about to be published as `blob`.

    Its collection is that of the source's container unless another one is named.
    """
    return make_output_item(
        Output(
            path=path,
            href=href_of(ctx.settings.asset_base_url, ctx.settings.output_container, blob),
            source=ctx.source,
            statistics=statistics,
        ),
        item_id,
        collection_id(ctx.source.container, collection),
    )


def check_items(ctx: TaskContext, collection: str, blobs: Mapping[str, str]) -> None:
    """Raise PermanentError (item_taken) if outputs of the task's source may not have items of these ids.

    `blobs` maps item ids to the outputs' blobs. Called before anything is published; write_items checks again under
    the catalog's lock.
    """
    with ctx.database.connection() as conn:
        owners = catalog.find_owners(conn, collection, list(blobs))
    check_ids(collection, owners, {name: ItemFile.of_blob(ctx.source_label, blob) for name, blob in blobs.items()})


def write_items(ctx: TaskContext, items: list[Json]) -> None:
    """Write items of one collection in the transaction that finishes the task; create the collection if it is missing.

    Items and completion commit together: a task that was cancelled or taken over leaves no item. The files themselves
    are published before, and replaced by the next attempt.
    """
    # The order of locks holds: pgSTAC's are taken here, the job's row is locked last, when the task finishes. Whoever
    # holds a job's row never waits for pgSTAC.
    collection = items[0]["collection"]
    wanted = _files_of(ctx, items)
    catalog.upsert_items(
        ctx.transaction,
        items,
        EXTENTS,
        new_collection(collection, items[0]),
        lambda conn: check_ids(collection, catalog.find_owners(conn, collection, list(wanted)), wanted),
    )


def taken_items(ctx: TaskContext, collection: str, items: list[Json]) -> dict[str, PermanentError]:
    """Return the error of each item whose id belongs to another file, by id."""
    wanted = _files_of(ctx, items)
    with ctx.database.connection() as conn:
        owners = catalog.find_owners(conn, collection, list(wanted))
    return taken_ids(collection, owners, wanted)


def _files_of(ctx: TaskContext, items: list[Json]) -> dict[str, ItemFile]:
    return {item["id"]: ItemFile.of_item(item, ctx.settings.asset_base_url) for item in items}
