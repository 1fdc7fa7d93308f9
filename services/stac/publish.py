"""Publishing STAC records: an output file is read back, described, and written to pgSTAC."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

import pystac
import rasterio

from repositories.catalog import catalog
from schema.errors import PermanentError
from schema.jobs import Json
from services.context import TaskContext
from services.raster.source.facts import RasterFacts, facts_of
from services.raster.source.gdal import gdal_environment, open_tiff
from services.raster.source.statistics import RasterStatistics
from services.stac.collections.collection import new_collection
from services.stac.collections.extent import EXTENTS
from services.stac.ids import ItemFile, check_ids, collection_id, item_id, taken_ids
from services.stac.items.datetimes import moment_of
from services.stac.items.item import Making, StoredFile
from services.stac.items.raster_item import COG_TITLE, COG_TYPE, RasterContent, make_raster_item

_SHA2_256 = "1220"
"""Multihash code and length of SHA-256: https://github.com/multiformats/multicodec"""


def output_item(ctx: TaskContext, path: Path, blob: str, statistics: RasterStatistics) -> pystac.Item:
    """Describe a COG that is about to be published. Raises PermanentError when another file's item has its id."""
    item = item_of(ctx, path, blob, statistics, item_id(ctx.source.blob, ctx.parameters.get("version_id")))
    check_items(ctx, item.collection_id or "", {item.id: blob})
    return item


def check_items(ctx: TaskContext, collection: str, blobs: Mapping[str, str]) -> None:
    """See that outputs of the task's source may have items of these ids. Raises PermanentError."""
    source = ctx.source_label
    with ctx.database.connection() as conn:
        known = catalog.find_owners(conn, collection, list(blobs))
    check_ids(collection, known, {name: ItemFile.of_blob(source, blob) for name, blob in blobs.items()})


def item_of(ctx: TaskContext, path: Path, blob: str, statistics: RasterStatistics, name: str) -> pystac.Item:
    """Describe an output as the item of that name."""
    # The output is read back: the item says what was written.
    with gdal_environment(), open_tiff(path) as dataset:
        facts = facts_of(dataset)
    return make_raster_item(describe(ctx, path, blob, facts, name), RasterContent(facts, statistics))


def write_items(ctx: TaskContext, items: list[Json]) -> None:
    """Write items of one collection in the transaction that finishes the task; make the collection if it is missing.

    So items and completion commit together: a task that was cancelled or taken over leaves none. The order of locks
    holds, because pgSTAC's locks are taken before the job's row, which is locked last, in the finish; who holds a job's
    row never waits for pgSTAC. The files themselves are published before, and replaced by the next attempt.
    No item of another file is replaced: see check_items, which is asked before there is anything to write.
    """
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
    """Give the error of each of the items that may not be written, by id."""
    wanted = _files_of(ctx, items)
    with ctx.database.connection() as conn:
        known = catalog.find_owners(conn, collection, list(wanted))
    return taken_ids(collection, known, wanted)


def _files_of(ctx: TaskContext, items: list[Json]) -> dict[str, ItemFile]:
    return {item["id"]: ItemFile.of_item(item, ctx.settings.asset_base_url) for item in items}


def describe(ctx: TaskContext, path: Path, blob: str, facts: RasterFacts, name: str) -> StoredFile:
    """Gather what the item of an output says besides its pixels."""
    source, wished = ctx.source, ctx.parameters
    now = datetime.now(UTC)
    return StoredFile(
        item_id=name,
        collection_id=collection_id(source.container, wished.get("collection_id")),
        href=href_of(ctx.settings.asset_base_url, ctx.settings.output_container, blob),
        source=source.label,
        size=path.stat().st_size,
        checksum=checksum_of(path),
        moment=moment_of(dict(facts.tags), source.blob, source.last_modified, now),
        media_type=COG_TYPE,
        title=COG_TITLE,
        making=Making(now, {"geostage": "0.1.0", "GDAL": rasterio.__gdal_version__}),
    )


def href_of(base_url: str, container: str, blob: str) -> str:
    """Give the link to a blob, without any key: below the deployment's base URL, else a path within the account."""
    return f"{base_url.rstrip('/')}/{quote(container)}/{quote(blob)}"


def checksum_of(path: Path) -> str:
    """Give a file's SHA-256 as multihash."""
    with path.open("rb") as file:
        return _SHA2_256 + hashlib.file_digest(file, "sha256").hexdigest()
