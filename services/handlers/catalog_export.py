"""The handler of export_metadata: items go to a file as they come from the database, which is then published."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path

from repositories.catalog import items
from schema.jobs import Json
from schema.settings import EXPORTS
from services.context import TaskContext
from services.handlers.catalog_queries import check_collection
from services.stac.export.writers import WRITERS, Writer
from services.stac.search.filters import filters_of, search_of

READ_SECONDS = 300
CHECK_EVERY = 500
"""Items between two checks whether the task is still this worker's."""


def export_metadata(ctx: TaskContext) -> Json:
    """Export the items that the filters name, from one snapshot; memory does not grow with their number."""
    kind = WRITERS[ctx.parameters["format"]]
    path = ctx.work_folder / f"export.{kind.extension}"
    count = _write(ctx, kind, path)
    # Named after the job, so that no export replaces another.
    container, blob = ctx.settings.output_container, f"{EXPORTS}{ctx.job_id}.{kind.extension}"
    ctx.blobs.publish(container, blob, path, attempt=ctx.task.attempt, content_type=kind.media_type)
    return {
        "export_path": f"{container}/{blob}",
        "format": ctx.parameters["format"],
        "content_type": kind.media_type,
        "items": count,
        "bytes": path.stat().st_size,
    }


def _write(ctx: TaskContext, kind: type[Writer], path: Path) -> int:
    search = search_of(ctx.parameters)
    collection_id = search.get("collection_id")
    # One snapshot: an item that moves to another collection meanwhile is neither missed nor exported twice.
    with items.reading(ctx.database, READ_SECONDS, snapshot=True) as conn, ExitStack() as stack:
        check_collection(conn, collection_id)
        writer = stack.enter_context(kind(path))
        for collection in items.export_collections(conn, collection_id):
            writer.collection(collection)
        writer.begin_items()
        for row in stack.enter_context(closing(items.export(conn, filters_of(search)))):
            writer.item(row)
            if writer.count % CHECK_EVERY == 0:
                ctx.check()
    return writer.count
