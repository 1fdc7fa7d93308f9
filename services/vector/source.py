"""The source of a load: fetched to this instance, looked at, unpacked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schema.errors import PermanentError
from schema.jobs import Source
from services.context import TaskContext
from services.vector import archive, cache
from services.vector.formats import EXTENSIONS, HEAD_BYTES, SHAPEFILE, Format, format_of, looks_right


@contextmanager
def fetched(ctx: TaskContext) -> Iterator[Path]:
    """Give the path that GDAL opens for the task's source; it stays there while the block runs.

    Raises
    ------
    SourceChanged
        The blob is not the one that was accepted.
    PermanentError
        The file is not what its extension says, or a damaged archive.
    """
    source = source_of(ctx)
    known = format_of_source(source)
    with cache.cached(source, lambda folder: _fetch(ctx, source, known, folder), ctx.check) as folder:
        yield folder / ("layer.shp" if known is SHAPEFILE else f"source{known.extensions[0]}")


def source_of(ctx: TaskContext) -> Source:
    """Give the task's source, which every vector task has."""
    if ctx.source is None:
        raise PermanentError("The job has no source.", remediation="Submit it with dataset_id and resource_id.")
    return ctx.source


def format_of_source(source: Source) -> Format:
    """Give the format of a source by its extension."""
    known = format_of(source.blob)
    if known is None:
        raise PermanentError(
            f"{source.blob} has none of the extensions that are supported.",
            remediation=f"Upload one of: {', '.join(EXTENSIONS)}.",
            code="unsupported_format",
        )
    return known


def _fetch(ctx: TaskContext, source: Source, known: Format, folder: Path) -> None:
    path = folder / f"source{known.extensions[0]}"
    ctx.blobs.download(source, path)
    ctx.check()
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise PermanentError(
            f"{source.blob} is empty: it has no bytes.", remediation="Upload the file again.", code="file_empty"
        )
    if not looks_right(known, head):
        raise PermanentError(
            f"{source.blob} is no {known.name}, whatever its extension says.",
            remediation="Give the file the extension of its real format, and upload it anew.",
            code="wrong_format",
        )
    if known is SHAPEFILE:
        archive.unpack_shapefile(path, folder)
        path.unlink()
