"""Outputs: where those of a source lie, and that none of another source is replaced by them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from repositories.storage.blobs import BlobFacts
from repositories.storage.marks import check_mark
from services.context import TaskContext
from services.raster.names import cog_blob, mosaic_blobs, tile_blob

TILE_ID = re.compile(r"r[0-9]{1,4}c[0-9]{1,4}")


def own_cog(ctx: TaskContext) -> str:
    """Name the COG of the task's source. Raises PermanentError when another source's lies there."""
    source = ctx.source
    blob = cog_blob(source.container, source.blob, ctx.parameters.get("version_id"))
    first = next(_listed(ctx, blob), None)
    _check(ctx, [first] if first and first.name == blob else [])
    return blob


def check_folder(ctx: TaskContext, folder: str) -> None:
    """Look through the folder of a version. Raises PermanentError when tiles or mosaics of another source lie there."""
    _check(ctx, tiles_in(ctx, folder))
    mosaics = mosaic_blobs(folder)
    _check(ctx, (facts for facts in _listed(ctx, f"{folder}/mosaic.") if facts.name in mosaics))


def tiles_in(ctx: TaskContext, folder: str) -> Iterator[BlobFacts]:
    """List the tiles in the folder of a version; outputs of other sources may lie deeper."""
    start, end = tile_blob(folder, "\n").split("\n")
    for facts in _listed(ctx, start):
        if facts.name.endswith(end) and TILE_ID.fullmatch(facts.name[len(start) : -len(end)]):
            yield facts


def publish(ctx: TaskContext, blob: str, path: Path, content_type: str) -> None:
    """Publish an output of the task's source. Raises PermanentError when another source's lies there by now."""
    container, source = ctx.settings.output_container, ctx.source_label
    ctx.blobs.publish(container, blob, path, attempt=ctx.task.attempt, content_type=content_type, made_of=source)


def _listed(ctx: TaskContext, prefix: str) -> Iterator[BlobFacts]:
    output = ctx.settings.output_container
    if ctx.blobs.has_container(output):
        yield from ctx.blobs.list_blobs(output, prefix)


def _check(ctx: TaskContext, found: Iterable[BlobFacts]) -> None:
    own = ctx.source_label
    for facts in found:
        check_mark(f"{ctx.settings.output_container}/{facts.name}", facts.mark, own)
